use std::{
    fmt::Write as _,
    time::{Duration, Instant},
};

use lopdf::{Dictionary, Document, Object, SaveOptions, Stream, dictionary};

use super::later;
use crate::domain::extract::{Error, MediaType, pdf, read};

/// A PDF written by hand: objects numbered from 1, the first the catalog.
fn written(objects: &[Vec<u8>], trailer: &str) -> Vec<u8> {
    let mut out = b"%PDF-1.4\n".to_vec();
    let mut offsets = Vec::new();
    for (number, body) in (1..).zip(objects) {
        offsets.push(out.len());
        out.extend(format!("{number} 0 obj\n").bytes());
        out.extend(body);
        out.extend(b"\nendobj\n");
    }
    let start = out.len();
    let mut table = format!("xref\n0 {}\n0000000000 65535 f \n", objects.len() + 1);
    for offset in offsets {
        writeln!(table, "{offset:010} 00000 n ").unwrap();
    }
    write!(table, "trailer\n<< /Size {} /Root 1 0 R {trailer} >>\nstartxref\n{start}\n%%EOF\n", objects.len() + 1)
        .unwrap();
    out.extend(table.bytes());
    out
}

fn stream(dict: &str, content: &[u8]) -> Vec<u8> {
    let head = format!("<< {dict} /Length {} >>\nstream\n", content.len());
    [head.as_bytes(), content, b"\nendstream"].concat()
}

fn text(text: &str) -> Vec<u8> {
    text.as_bytes().to_vec()
}

const CATALOG: &str = "<< /Type /Catalog /Pages 2 0 R >>";
const PAGES: &str = "<< /Type /Pages /Kids [3 0 R] /Count 1 >>";
const PAGE: &str = "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R \
    /Resources << /Font << /F1 5 0 R >> >> >>";
const FONT: &str = "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>";

fn one_page(content: Vec<u8>, trailer: &str) -> Vec<u8> {
    written(&[text(CATALOG), text(PAGES), text(PAGE), content, text(FONT)], trailer)
}

fn showing(instructions: &str) -> Vec<u8> {
    one_page(stream("", instructions.as_bytes()), "")
}

fn text_of(pdf: Vec<u8>) -> String {
    read(MediaType::Pdf, pdf).unwrap().text
}

/// What zlib makes of a megabyte-sized run of one byte, so many times over.
fn bomb(megabytes: usize) -> Stream {
    let mut stream = Stream::new(Dictionary::new(), vec![b' '; megabytes * 1024 * 1024]);
    stream.compress().unwrap();
    assert!(stream.content.len() < megabytes * 4096);
    stream
}

/// A document of the library with one page that shows a text.
fn document(shown: &str) -> Document {
    let mut document = Document::with_version("1.5");
    let pages = document.new_object_id();
    let font = document.add_object(dictionary! {
        "Type" => "Font", "Subtype" => "Type1", "BaseFont" => "Courier", "Encoding" => "WinAnsiEncoding",
    });
    let resources = document.add_object(dictionary! { "Font" => dictionary! { "F1" => font } });
    let content = format!("BT /F1 12 Tf 72 700 Td ({shown}) Tj ET");
    let content = document.add_object(Stream::new(Dictionary::new(), content.into_bytes()));
    let page = document.add_object(dictionary! {
        "Type" => "Page", "Parent" => pages, "Contents" => content, "Resources" => resources,
    });
    let kids: Vec<Object> = vec![page.into()];
    document.set_object(pages, dictionary! { "Type" => "Pages", "Kids" => kids, "Count" => 1 });
    let catalog = document.add_object(dictionary! { "Type" => "Catalog", "Pages" => pages });
    document.trailer.set("Root", catalog);
    document
}

fn saved(mut document: Document, options: SaveOptions) -> Vec<u8> {
    let mut bytes = Vec::new();
    document.save_with_options(&mut bytes, options).unwrap();
    bytes
}

#[test]
fn a_page_is_read() {
    assert_eq!(text_of(showing("BT /F1 12 Tf 72 700 Td (The small paper) Tj ET")), "The small paper");
}

#[test]
fn lines_and_gaps_are_told_apart() {
    let instructions = "BT /F1 12 Tf 72 700 Td (One) Tj 0 -14 Td [(T) 20 (wo) -300 (words)] TJ T* (Three) Tj \
        (Four) ' 1 0 0 1 72 500 Tm (Five) Tj 1 0 0 1 172 500 Tm (six) Tj ET BT (Seven) Tj ET";
    assert_eq!(text_of(showing(instructions)), "One\nTwo words\nThree\nFour\nFive six\nSeven");
}

#[test]
fn pages_are_read_in_their_order() {
    let page = |contents: u32| {
        text(&format!(
            "<< /Type /Page /Parent 2 0 R /Contents {contents} 0 R /Resources << /Font << /F1 5 0 R >> >> >>"
        ))
    };
    let shown = |words: &str| stream("", format!("BT /F1 9 Tf ({words}) Tj ET").as_bytes());
    let pdf = written(
        &[
            text(CATALOG),
            text("<< /Type /Pages /Kids [4 0 R 3 0 R] /Count 2 >>"),
            page(6),
            page(7),
            text(FONT),
            shown("second"),
            shown("first"),
        ],
        "",
    );
    assert_eq!(text_of(pdf), "first\n\nsecond");
}

#[test]
fn accents_and_missing_fonts_are_read() {
    let content = b"BT /F1 9 Tf (caf\xe9 \\(x\\)) Tj /F9 9 Tf ( \xfcber) Tj ET";
    assert_eq!(text_of(one_page(stream("", content), "")), "café (x) über");
}

#[test]
fn characters_of_a_font_with_a_table_are_looked_up() {
    let table = b"/CIDInit /ProcSet findresource begin\n12 dict begin\nbegincmap\n/CMapType 2 def\n\
        1 begincodespacerange\n<0000> <ffff>\nendcodespacerange\n\
        2 beginbfchar\n<0001> <0041>\n<0002> <0064>\nendbfchar\nendcmap\n\
        CMapName currentdict /CMap defineresource pop\nend\nend";
    let pdf = written(
        &[
            text(CATALOG),
            text(PAGES),
            text(PAGE),
            stream("", b"BT /F1 9 Tf <00010002> Tj ET"),
            text("<< /Type /Font /Subtype /Type0 /Encoding /Identity-H /ToUnicode 6 0 R >>"),
            stream("", table),
        ],
        "",
    );
    assert_eq!(text_of(pdf), "Ad");
}

#[test]
fn the_title_of_the_document_is_found() {
    let objects = [
        text(CATALOG),
        text(PAGES),
        text(PAGE),
        stream("", b"BT /F1 9 Tf (x) Tj ET"),
        text(FONT),
        text("<< /Title (A title) >>"),
    ];
    let extract = read(MediaType::Pdf, written(&objects, "/Info 6 0 R")).unwrap();
    assert_eq!(extract.title.as_deref(), Some("A title"));
}

#[test]
fn objects_in_compressed_streams_are_read() {
    let options = SaveOptions::builder().use_object_streams(true).use_xref_streams(true);
    let bytes = saved(document("Modern paper"), options.build());
    assert!(bytes.windows(6).any(|window| window == b"ObjStm"));
    assert_eq!(text_of(bytes), "Modern paper");
}

#[test]
fn what_is_no_pdf_is_refused() {
    for bytes in [b"not a pdf".to_vec(), b"%PDF-1.7\n".to_vec(), b"%PDF-".to_vec(), vec![0; 5000]] {
        assert_eq!(read(MediaType::Pdf, bytes), Err(Error::Unreadable));
    }
    let mut cut = showing("BT /F1 12 Tf (x) Tj ET");
    cut.truncate(60);
    assert_eq!(read(MediaType::Pdf, cut), Err(Error::Unreadable));
}

#[test]
fn a_pdf_without_text_is_refused() {
    assert_eq!(read(MediaType::Pdf, showing("0 0 10 10 re f")), Err(Error::NoText));
}

#[test]
fn encrypted_pdfs_are_refused_however_the_word_is_spelt() {
    let content = || stream("", b"BT /F1 9 Tf (x) Tj ET");
    for trailer in ["/Encrypt << /Filter /Standard /V 1 /R 2 >>", "/#45ncrypt 9 0 R", "/Encr#79pt<<>>"] {
        assert_eq!(read(MediaType::Pdf, one_page(content(), trailer)), Err(Error::Encrypted), "{trailer}");
    }
    assert!(read(MediaType::Pdf, one_page(content(), "/EncryptMetadata true")).is_ok());
}

#[test]
fn a_page_that_unpacks_to_too_much_is_refused() {
    let mut document = document("x");
    let content = document.add_object(bomb(64));
    let page = document.page_iter().next().unwrap();
    document.get_object_mut(page).unwrap().as_dict_mut().unwrap().set("Contents", content);
    let bytes = saved(document, SaveOptions::builder().use_object_streams(false).build());
    assert_eq!(read(MediaType::Pdf, bytes), Err(Error::TooLarge));
}

#[test]
fn a_stream_of_objects_that_unpacks_to_too_much_is_refused() {
    let packed = bomb(64);
    let dict = "/Type /ObjStm /N 1 /First 4 /Filter /FlateDecode";
    let objects = [text(CATALOG), text(PAGES), text(PAGE), showing_stream(), text(FONT), stream(dict, &packed.content)];
    assert_eq!(read(MediaType::Pdf, written(&objects, "")), Err(Error::TooLarge));
}

#[test]
fn objects_that_contain_each_other_are_not_read_over_and_over() {
    // Each of the offsets points into the same long list: naively 54 million values.
    let list = format!("{}{}{}", "[".repeat(90), "0 ".repeat(20_000), "]".repeat(90));
    let index: String = (0..90).map(|n| format!("{} {n} ", 100 + n)).collect();
    let dict = format!("/Type /ObjStm /N 90 /First {}", index.len());
    let objects: Vec<Vec<u8>> = [text(CATALOG), text(PAGES), text(PAGE), showing_stream(), text(FONT)]
        .into_iter()
        .chain((0..30).map(|_| stream(&dict, format!("{index}{list}").as_bytes())))
        .collect();
    let started = Instant::now();
    assert_eq!(text_of(written(&objects, "")), "x");
    assert!(started.elapsed() < Duration::from_secs(15), "{:?}", started.elapsed());
}

fn showing_stream() -> Vec<u8> {
    stream("", b"BT /F1 9 Tf (x) Tj ET")
}

#[test]
fn a_file_that_spells_out_too_many_values_is_refused() {
    let list = format!("[{}]", "0 ".repeat(4_100_000));
    let objects = [text(CATALOG), text(PAGES), text(PAGE), showing_stream(), text(FONT), text(&list)];
    assert_eq!(read(MediaType::Pdf, written(&objects, "")), Err(Error::TooLarge));
}

#[test]
fn many_names_for_one_object_do_not_take_the_memory_of_many() {
    // The table says that 20,000 objects stand where one large list does.
    let list = format!("6 0 obj\n[{}]\nendobj\n", "0 ".repeat(20_000));
    let mut bytes = b"%PDF-1.4\n".to_vec();
    let at = bytes.len();
    bytes.extend(list.bytes());
    let start = bytes.len();
    let mut table = String::from("xref\n0 20000\n0000000000 65535 f \n");
    for _ in 1..20_000 {
        writeln!(table, "{at:010} 00000 n ").unwrap();
    }
    write!(table, "trailer\n<< /Size 20000 /Root 1 0 R >>\nstartxref\n{start}\n%%EOF\n").unwrap();
    bytes.extend(table.bytes());
    let started = Instant::now();
    let result = pdf::read(&bytes, later());
    assert!(matches!(result, Err(Error::TooLarge | Error::Unreadable)), "{result:?}");
    assert!(started.elapsed() < Duration::from_secs(30));
}

#[test]
fn reading_stops_at_the_deadline() {
    let bytes = showing("BT /F1 12 Tf (x) Tj ET");
    assert_eq!(pdf::read(&bytes, Instant::now()), Err(Error::TooSlow));
}

#[test]
fn damaged_pdfs_never_panic() {
    let original = showing("BT /F1 12 Tf 72 700 Td [(T) 20 (wo)] TJ (y) ' ET");
    for at in 0..original.len() {
        let mut damaged = original.clone();
        damaged[at] = damaged[at].wrapping_mul(31).wrapping_add(7);
        pdf::read(&damaged, later()).ok();
    }
}
