use std::time::{Duration, Instant};

use super::{Error, Extract, MediaType, bounded, html, markdown, read};

mod pdf;

fn later() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

fn html_text(page: &str) -> String {
    html::read(page, later()).unwrap().text
}

fn markdown_text(text: &str) -> String {
    markdown::read(text, later()).unwrap().text
}

#[test]
fn media_types_are_known_with_any_parameters() {
    assert_eq!(MediaType::parse("text/plain"), Some(MediaType::Plain));
    assert_eq!(MediaType::parse("Text/HTML; charset=utf-8"), Some(MediaType::Html));
    assert_eq!(MediaType::parse("text/markdown"), Some(MediaType::Markdown));
    assert_eq!(MediaType::parse("application/pdf"), Some(MediaType::Pdf));
    assert_eq!(MediaType::parse("image/png"), None);
    assert_eq!(MediaType::parse(""), None);
}

#[test]
fn plain_text_is_read_exactly() {
    for text in ["Plain words about <b>q</b>.", " two  spaces\r\n\ttab ", "日本語 👩‍💻"] {
        let extract = read(MediaType::Plain, text.as_bytes().to_vec()).unwrap();
        assert_eq!(extract, Extract { title: None, text: text.to_owned() });
    }
}

#[test]
fn other_encodings_are_recognised() {
    let text = |bytes: &[u8]| read(MediaType::Plain, bytes.to_vec()).map(|extract| extract.text);
    assert_eq!(text(b"\xef\xbb\xbfcaf\xc3\xa9").unwrap(), "café");
    assert_eq!(text(b"\xff\xfec\0a\0f\0\xe9\0").unwrap(), "café");
    assert_eq!(text(b"caf\xe9").unwrap(), "café");
    assert_eq!(text(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR").unwrap_err(), Error::Unreadable);
    let page = b"<meta charset=\"iso-8859-2\"><p>\xe8lov\xeck</p>".to_vec();
    assert_eq!(read(MediaType::Html, page).unwrap().text, "člověk");
}

#[test]
fn nothing_to_read_is_said() {
    for (media_type, bytes) in [
        (MediaType::Plain, ""),
        (MediaType::Plain, " \n\u{200b} "),
        (MediaType::Html, "<script>alert(1)</script><p> </p>"),
        (MediaType::Markdown, "---\n"),
    ] {
        let error = read(media_type, bytes.as_bytes().to_vec()).unwrap_err();
        assert_eq!(error, Error::NoText, "{bytes:?}");
    }
}

#[test]
fn html_is_read_without_scripts_styles_and_tags() {
    let page = "<!DOCTYPE html><html><head><title>Page\n one</title><style>b{}</style>\
        <script>alert('x < y')</script></head><body><h1>Head</h1><p>Body of <b>bold</b> text.</p>\
        <!-- comment --><ul><li>one</li><li>two &amp; three</li></ul><iframe>inner</iframe></body></html>";
    let extract = read(MediaType::Html, page.as_bytes().to_vec()).unwrap();
    assert_eq!(extract.title.as_deref(), Some("Page one"));
    assert_eq!(extract.text, "Head\n\nBody of bold text.\n\none\ntwo & three");
}

#[test]
fn html_details_are_read_like_a_browser_would() {
    let table = [
        ("a<br>b", "a\nb"),
        ("<td>1</td><td>2</td>", "1 2"),
        ("<p>a</p>\n\n  <p>b", "a\n\nb"),
        ("<pre>x\n  y</pre>", "x\ny"),
        ("so<b>li</b>d", "solid"),
        ("<script>if (a</b) </script>after", "after"),
        ("<style><p>not this</p></style>this", "this"),
        ("<textarea><b>raw</b></textarea>", "<b>raw</b>"),
        ("a &lt; b &eacute; &#x41; &unknown;", "a < b é A &unknown;"),
        ("<p unclosed", ""),
        ("1 < 2", "1 < 2"),
        ("<svg><title>drawing</title><text>label</text></svg>", "label"),
        ("x<noscript>shown</noscript>", "xshown"),
        ("a <<b>c</b> &lt<i>d</i> </<p>e", "a <c <d e"),
        ("<script>a<!-- <script>b</script> c --> d</script>e", "e"),
    ];
    for (page, expected) in table {
        let page = format!("<title>t</title>{page}");
        assert_eq!(html_text(&page), expected, "{page}");
    }
}

#[test]
fn the_first_title_with_text_is_the_pages() {
    let page = html::read("<title></title><title>One</title><title>Two</title>x", later()).unwrap();
    assert_eq!(page, Extract { title: Some("One".to_owned()), text: "x".to_owned() });
}

#[test]
fn hostile_html_is_read_in_time() {
    let started = Instant::now();
    let deep = "<div>".repeat(200_000) + "deep";
    assert_eq!(html_text(&deep), "deep");
    let formats = (0..30_000).map(|n| format!("<font a{n}=1>")).collect::<String>() + "<p>x".repeat(1000).as_str();
    assert!(html_text(&formats).starts_with("x\n\nx"));
    assert_eq!(html_text(&("<".repeat(300_000) + " x")).len(), 300_002);
    html_text(&"&".repeat(300_000));
    html_text(&"<!--".repeat(100_000));
    assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());
}

#[test]
fn a_tag_with_too_many_attributes_is_refused_at_once() {
    let many = |join: &str| (0..40_000).map(|n| format!("{join}a{n}")).collect::<String>();
    let started = Instant::now();
    for page in [
        format!("<p{}>x", many(" ")),
        format!("<p{}>x", many("/")),
        format!("<p{}>x", many("</")),
        format!("<p{}>x", many(" <a ")),
        format!("text</p{}>x", many("='' ")),
        format!("<p x{}>x", many("=\"a>b\" ")),
        format!("<!-- <a b=\" --><p{}>x", many(" ")),
        format!("<script>'<!--' \"</script x{}>x", many(" ")),
        format!("<textarea><a b=\"</textarea><p{}>x", many(" ")),
    ] {
        let characters = html::read(&page, later()).map(|extract| extract.text.len());
        assert_eq!(characters, Err(Error::Unreadable), "{}", &page[..40]);
    }
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
}

#[test]
fn what_only_looks_like_many_attributes_is_read() {
    let words = "one two=three four / ".repeat(2_000);
    for page in [
        format!("<img src=\"data:image/png;base64,{}\" alt=x>x", "iVBOR/ab==".repeat(20_000)),
        format!("<p title='{words}'>x"),
        format!("<a href={}>x", "/a=b".repeat(2_000)),
        format!("<script>if (i <a {words}) b()</script>x"),
        format!("<!-- <a {words} -->x"),
        format!("<style>/* <a {words} */</style>x"),
    ] {
        assert_eq!(html_text(&page), "x", "{}", &page[..20]);
    }
    assert!(html_text(&format!("1 < 2 {words}x")).ends_with("four / x"));
    let most: String = (0..200).map(|n| format!(" a{n}='{n}'")).collect();
    assert_eq!(html_text(&format!("<p{most}>x<p{most}>y")), "x\n\ny");
}

#[test]
fn a_page_that_takes_too_long_is_given_up() {
    assert_eq!(html::read("<p>x", Instant::now()), Err(Error::TooSlow));
}

#[test]
fn markdown_is_read_without_its_marks() {
    let text = "# Heading *one*\n\nSome **bold** text with [a link](https://example.org) and `code`.\n\n\
        - first\n- second\n  - inner\n\n> quoted\n\n```rust\nlet x = 1;\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n\
        ![picture](x.png)\n\n<div>html <b>block</b></div>\n\n1. one\n\n   more\n2. two\n";
    let extract = read(MediaType::Markdown, text.as_bytes().to_vec()).unwrap();
    assert_eq!(extract.title.as_deref(), Some("Heading one"));
    assert_eq!(
        extract.text,
        "Heading one\n\nSome bold text with a link and code.\n\nfirst\nsecond\ninner\n\nquoted\n\nlet x = 1;\n\n\
        a b\n1 2\n\npicture\n\nhtml block\n\none\n\nmore\n\ntwo"
    );
}

#[test]
fn markdown_details_are_read() {
    let table = [
        ("---\ntitle: T\n---\nBody", "Body"),
        ("two\nlines", "two\nlines"),
        ("a <b>b</b> c", "a b c"),
        ("~~gone~~ 2 * 3 * 4", "gone 2 * 3 * 4"),
        ("- [x] done", "done"),
        ("&amp; &copy;", "& ©"),
        ("<script>\nalert(1)\n</script>\n\nafter", "after"),
    ];
    for (text, expected) in table {
        assert_eq!(markdown_text(text), expected, "{text}");
    }
}

#[test]
fn hostile_markdown_is_read_in_time() {
    let started = Instant::now();
    for text in [
        "> ".repeat(100_000),
        "[".repeat(200_000),
        "*a ".repeat(200_000),
        "`".repeat(200_000),
        "![](".repeat(100_000),
        "- ".repeat(50_000),
    ] {
        markdown_text(&text);
    }
    assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());
}

#[test]
fn a_reader_that_panics_is_an_unreadable_document() {
    let panics = |_| -> Result<Extract, Error> { std::panic::resume_unwind(Box::new("bug")) };
    assert_eq!(bounded(Duration::from_secs(60), panics), Err(Error::Unreadable));
}

#[test]
fn a_reader_that_never_ends_is_given_up_and_keeps_its_place() {
    let (end, wait) = std::sync::mpsc::channel::<()>();
    let reader = move |_| {
        wait.recv().ok();
        Ok(Extract::default())
    };
    assert_eq!(bounded(Duration::ZERO, reader), Err(Error::TooSlow));
    drop(end);
}

#[test]
fn many_documents_at_once_wait_for_their_turn() {
    let readers: Vec<_> = (0..40)
        .map(|n| std::thread::spawn(move || read(MediaType::Markdown, format!("# Number {n}").into_bytes())))
        .collect();
    for (n, reader) in readers.into_iter().enumerate() {
        assert_eq!(reader.join().unwrap().unwrap().text, format!("Number {n}"));
    }
}
