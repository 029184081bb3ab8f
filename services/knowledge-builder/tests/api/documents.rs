//! `/api/v1/knowledge/documents`

use serde_json::{Value, json};
use test_support::{Answer, Client};

use crate::rig::{Rig, each};

const PATH: &str = "/api/v1/knowledge/documents";

#[tokio::test]
async fn a_document_is_stored_read_and_deleted() {
    let rig = Rig::start().await;
    let text = "Plain words about <b>quinces</b>.";
    let body = json!({"title": "Plain", "url": "https://example.org", "text": text, "metadata": {"shelf": 4}});
    let made = rig.admin.post(PATH, &body).await.data(201);
    let id = made["document_id"].as_str().unwrap().to_owned();
    assert!(id.starts_with("doc_") && id.len() == 28);
    let expected = json!({
        "document_id": id, "title": "Plain", "url": "https://example.org", "media_type": "text/plain",
        "bytes": text.len(), "characters": text.len(), "passages": 1, "metadata": {"shelf": 4},
        "sha256": made["sha256"], "created_by": "test-admin", "created_at": made["created_at"],
    });
    assert_eq!(made, expected);
    let mut full = expected;
    full["text"] = json!(text);
    assert_eq!(rig.admin.get(&format!("{PATH}/{id}")).await.data(200), full);
    assert_eq!(rig.admin.get(PATH).await.data(200), json!([made]));
    let deleted = rig.admin.delete(&format!("{PATH}/{id}")).await.data(200);
    assert_eq!(deleted, json!({"deleted": true, "document_id": id}));
    for answer in [rig.admin.get(&format!("{PATH}/{id}")).await, rig.admin.delete(&format!("{PATH}/{id}")).await] {
        let error = answer.error(404, "NOT_FOUND_ERROR.RESOURCE_NOT_FOUND");
        assert_eq!(error["message"], format!("Document '{id}' not found"));
    }
}

#[tokio::test]
async fn the_same_bytes_and_title_from_the_same_principal_are_one_document() {
    let rig = Rig::start().await;
    let body = json!({"title": "Plain", "text": "Words.", "metadata": {"first": true}});
    let first = rig.admin.post(PATH, &body).await.data(201);
    let again = json!({"title": "Plain", "text": "Words.", "metadata": {"first": false}});
    assert_eq!(rig.admin.post(PATH, &again).await.data(200), first);
    let other_title = rig.admin.post(PATH, &json!({"title": "Other", "text": "Words."})).await.data(201);
    let other_bytes = rig.admin.post(PATH, &json!({"title": "Plain", "text": "Words!"})).await.data(201);
    let other_principal = rig.user("u1").post(PATH, &body).await.data(201);
    for other in [other_title, other_bytes, other_principal] {
        assert_ne!(other["document_id"], first["document_id"]);
    }
}

#[tokio::test]
async fn other_media_types_are_read() {
    let rig = Rig::start().await;
    let base64 = |text: &str| {
        use base64::Engine as _;
        base64::engine::general_purpose::STANDARD.encode(text)
    };
    let page = "<html><head><title>Page q</title><style>b{}</style><script>alert('q')</script></head>\
        <body><h1>Head</h1><p>Body of q text.</p></body></html>";
    for (title, content, media_type, expected_title, expected) in [
        (Value::Null, page.to_owned(), "text/html; charset=utf-8", "Page q", "Head\n\nBody of q text."),
        (
            json!("M"),
            "# Heading q\n\nSome **bold** text.".to_owned(),
            "text/markdown",
            "M",
            "Heading q\n\nSome bold text.",
        ),
        (Value::Null, "# Heading q\n\nOther".to_owned(), "text/markdown", "Heading q", "Heading q\n\nOther"),
        (Value::Null, pdf("The q paper"), "application/pdf", "Untitled document", "The q paper"),
    ] {
        let body = json!({"title": title, "content_base64": base64(&content), "media_type": media_type});
        let made = rig.admin.post(PATH, &body).await.data(201);
        assert_eq!((&made["title"], &made["bytes"]), (&json!(expected_title), &json!(content.len())));
        let read = rig.admin.get(&format!("{PATH}/{}", made["document_id"].as_str().unwrap())).await.data(200);
        assert_eq!(read["text"], expected);
    }
}

/// A one-page PDF that shows one line of text.
fn pdf(text: &str) -> String {
    let stream = format!("BT /F1 12 Tf 72 700 Td ({text}) Tj ET");
    let objects = [
        "<< /Type /Catalog /Pages 2 0 R >>".to_owned(),
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>".to_owned(),
        "<< /Type /Page /Parent 2 0 R /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>".to_owned(),
        format!("<< /Length {} >>\nstream\n{stream}\nendstream", stream.len()),
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>".to_owned(),
    ];
    let mut out = "%PDF-1.4\n".to_owned();
    let mut table = format!("xref\n0 {}\n0000000000 65535 f \n", objects.len() + 1);
    for (number, object) in (1..).zip(&objects) {
        table.push_str(&format!("{:010} 00000 n \n", out.len()));
        out.push_str(&format!("{number} 0 obj\n{object}\nendobj\n"));
    }
    let start = out.len();
    format!("{out}{table}trailer\n<< /Size {} /Root 1 0 R >>\nstartxref\n{start}\n%%EOF\n", objects.len() + 1)
}

#[tokio::test]
async fn input_is_checked() {
    let rig = Rig::start().await;
    for (body, status, field, reason) in [
        (json!({"title": "x"}), 422, "text", "REQUIRED_FIELD"),
        (
            json!({"text": "a", "content_base64": "YQ==", "media_type": "text/plain"}),
            422,
            "content_base64",
            "INVALID_FORMAT",
        ),
        (json!({"content_base64": "***", "media_type": "text/plain"}), 422, "content_base64", "INVALID_FORMAT"),
        (json!({"content_base64": "YQ=="}), 422, "media_type", "REQUIRED_FIELD"),
        (
            json!({"content_base64": "bm90IGEgcGRm", "media_type": "application/pdf"}),
            422,
            "content_base64",
            "INVALID_FORMAT",
        ),
        (json!({"content_base64": "YQ==", "media_type": "image/png"}), 415, "media_type", "UNSUPPORTED_MEDIA_TYPE"),
        (json!({"text": "a", "media_type": "application/pdf"}), 422, "text", "INVALID_FORMAT"),
        (json!({"text": " \n "}), 422, "text", "INVALID_FORMAT"),
        (json!({"text": 3}), 422, "text", "INVALID_TYPE"),
        (json!({"text": "a", "title": "t".repeat(301)}), 422, "title", "INVALID_RANGE"),
        (json!({"text": "a", "metadata": []}), 422, "metadata", "INVALID_TYPE"),
    ] {
        let answer = rig.admin.post(PATH, &body).await;
        answer.error(status, &format!("VALIDATION_ERROR.{reason}"));
        assert_eq!(answer.fields(), [field], "{}", answer.text);
    }
    assert_eq!(rig.admin.get(PATH).await.data(200), json!([]));
}

#[tokio::test]
async fn a_document_may_be_larger_than_other_bodies_up_to_its_own_limit() {
    let rig = Rig::with(&[("max_document_bytes", "6000000")]).await;
    let text = "A long sentence about nothing much. ".repeat(140_000);
    let made = rig.admin.post(PATH, &json!({"title": "Long", "text": text})).await.data(201);
    assert_eq!(made["bytes"], text.len());
    let longer = "x".repeat(6_000_001);
    rig.admin
        .post(PATH, &json!({"title": "Longer", "text": longer}))
        .await
        .error(413, "VALIDATION_ERROR.PAYLOAD_TOO_LARGE");
    rig.admin
        .post("/api/v1/knowledge", &json!({"identifier": text}))
        .await
        .error(413, "VALIDATION_ERROR.PAYLOAD_TOO_LARGE");
}

#[tokio::test]
async fn users_see_only_their_own_documents() {
    let rig = Rig::start().await;
    let of_admin = rig.document("Admin's", "Words.").await;
    let (one, two) = (rig.user("u1"), rig.user("u2"));
    let own = one.post(PATH, &json!({"title": "Own", "text": "Words."})).await.data(201);
    let path = |document: &Value| format!("{PATH}/{}", document["document_id"].as_str().unwrap());
    assert_eq!(each(&one.get(PATH).await.data(200), "title"), ["Own"]);
    assert_eq!(each(&rig.admin.get(&format!("{PATH}?sort=title")).await.data(200), "title"), ["Admin's", "Own"]);
    one.get(&path(&own)).await.data(200);
    one.get(&path(&of_admin)).await.error(404, "NOT_FOUND_ERROR.RESOURCE_NOT_FOUND");
    two.delete(&path(&own)).await.error(404, "NOT_FOUND_ERROR.RESOURCE_NOT_FOUND");
    one.delete(&path(&own)).await.data(200);
}

#[tokio::test]
async fn lists_filter_and_sort() {
    let rig = Rig::start().await;
    for (title, text) in [("b", "four"), ("a", "sixteen"), ("c", "one")] {
        rig.document(title, text).await;
    }
    let list = async |query: &str| rig.admin.get(&format!("{PATH}?{query}")).await.data(200);
    assert_eq!(each(&list("sort=-bytes").await, "title"), ["a", "b", "c"]);
    assert_eq!(each(&list("filter[bytes][lt]=5&sort=title").await, "title"), ["b", "c"]);
    assert_eq!(
        each(&list("filter[title]=a&filter[media_type]=text/plain&filter[created_by]=test-admin").await, "title"),
        ["a"]
    );
    rig.admin.get(&format!("{PATH}?filter[sha256]=x")).await.error(422, "VALIDATION_ERROR.INVALID_FORMAT");
}

/// A part of a form.
struct Part<'a> {
    disposition: &'a str,
    media_type: Option<&'a str>,
    content: &'a [u8],
}

async fn upload(client: &Client, parts: &[Part<'_>]) -> Answer {
    let mut body = Vec::new();
    for part in parts {
        body.extend(format!("--frontier\r\nContent-Disposition: form-data; {}\r\n", part.disposition).bytes());
        if let Some(media_type) = part.media_type {
            body.extend(format!("Content-Type: {media_type}\r\n").bytes());
        }
        body.extend(b"\r\n");
        body.extend(part.content);
        body.extend(b"\r\n");
    }
    body.extend(b"--frontier--\r\n");
    client.raw("POST", PATH, Some("multipart/form-data; boundary=frontier"), body).await
}

fn file<'a>(name: &'a str, media_type: Option<&'a str>, content: &'a [u8]) -> Part<'a> {
    Part { disposition: name, media_type, content }
}

fn field<'a>(name: &'a str, text: &'a str) -> Part<'a> {
    Part { disposition: name, media_type: None, content: text.as_bytes() }
}

#[tokio::test]
async fn a_document_is_uploaded_as_a_form() {
    let rig = Rig::start().await;
    let parts = [
        field("name=\"title\"", "Form"),
        file("name=\"file\"; filename=\"note.txt\"", Some("text/plain"), b"Uploaded q."),
        field("name=\"url\"", "https://example.org"),
        field("name=\"metadata\"", "{\"shelf\": 4}"),
    ];
    let made = upload(&rig.admin, &parts).await.data(201);
    assert_eq!(
        (&made["title"], &made["media_type"], &made["bytes"]),
        (&json!("Form"), &json!("text/plain"), &json!(11))
    );
    assert_eq!((&made["url"], &made["metadata"]), (&json!("https://example.org"), &json!({"shelf": 4})));
    let read = rig.admin.get(&format!("{PATH}/{}", made["document_id"].as_str().unwrap())).await.data(200);
    assert_eq!(read["text"], "Uploaded q.");
}

#[tokio::test]
async fn the_media_type_of_an_upload_is_its_own_or_follows_from_its_name() {
    let rig = Rig::start().await;
    for (name, media_type, expected) in [
        ("a.md", None, "text/markdown"),
        ("b.HTML", Some("application/octet-stream"), "text/html"),
        ("c.bin", Some("text/plain; charset=utf-8"), "text/plain"),
    ] {
        let disposition = format!("name=\"file\"; filename=\"{name}\"");
        let made = upload(&rig.admin, &[file(&disposition, media_type, b"Words.")]).await.data(201);
        assert_eq!((&made["media_type"], &made["title"]), (&json!(expected), &json!(name)));
    }
    let named =
        [field("name=\"media_type\"", "text/markdown"), file("name=\"file\"; filename=\"d.bin\"", None, b"# Words")];
    assert_eq!(upload(&rig.admin, &named).await.data(201)["media_type"], "text/markdown");
    let unknown = [file("name=\"file\"; filename=\"e.png\"", Some("image/png"), b"Words.")];
    upload(&rig.admin, &unknown).await.error(415, "VALIDATION_ERROR.UNSUPPORTED_MEDIA_TYPE");
}

#[tokio::test]
async fn forms_are_checked() {
    let rig = Rig::with(&[("max_document_bytes", "1000")]).await;
    let missing = upload(&rig.admin, &[field("name=\"title\"", "Form")]).await;
    missing.error(422, "VALIDATION_ERROR.REQUIRED_FIELD");
    assert_eq!(missing.fields(), ["file"]);
    let named = "name=\"file\"; filename=\"a.txt\"";
    upload(&rig.admin, &[file(named, None, &[b'x'; 1001])]).await.error(413, "VALIDATION_ERROR.PAYLOAD_TOO_LARGE");
    upload(&rig.admin, &[file(named, None, b"\0\x01")]).await.error(422, "VALIDATION_ERROR.INVALID_FORMAT");
    let wrong = upload(&rig.admin, &[file(named, None, b"x"), field("name=\"metadata\"", "none")]).await;
    assert_eq!((wrong.status, wrong.fields()), (422, vec!["metadata".to_owned()]));
    let torn = rig.admin.raw("POST", PATH, Some("multipart/form-data; boundary=b"), b"--b\r\nnonsense".to_vec()).await;
    torn.error(400, "VALIDATION_ERROR.INVALID_FORMAT");
    let no_boundary = rig.admin.raw("POST", PATH, Some("multipart/form-data"), b"--b--".to_vec()).await;
    no_boundary.error(400, "VALIDATION_ERROR.INVALID_FORMAT");
    rig.admin
        .raw("POST", PATH, Some("text/csv"), b"a,b".to_vec())
        .await
        .error(415, "VALIDATION_ERROR.UNSUPPORTED_MEDIA_TYPE");
}

#[tokio::test]
async fn an_uploaded_form_is_idempotent_like_json() {
    let rig = Rig::start().await;
    let client = rig.admin.header("idempotency-key", "k1");
    let named = "name=\"file\"; filename=\"a.txt\"";
    let first = upload(&client, &[file(named, None, b"Words.")]).await;
    let again = upload(&client, &[file(named, None, b"Words.")]).await;
    assert_eq!((first.status, again.status, again.header("idempotent-replayed")), (201, 201, "true"));
    upload(&client, &[file(named, None, b"Other.")]).await.error(422, "VALIDATION_ERROR.IDEMPOTENCY_CONFLICT");
}

#[tokio::test]
async fn items_outlive_the_document_they_were_made_from() {
    let rig = Rig::start().await;
    let stored = rig.document("Book", "Bob Ross painted.").await;
    rig.gather(json!({"identifier": "Bob Ross"})).await;
    rig.admin.delete(&format!("{PATH}/{}", stored["document_id"].as_str().unwrap())).await.data(200);
    let record = rig.admin.get("/api/v1/knowledge/entity:bob_ross").await.data(200);
    assert_eq!(each(&record["knowledge_items"], "text"), ["Bob Ross painted."]);
    let made = rig.gather(json!({"identifier": "Bob Ross"})).await;
    assert_eq!(made["total_items"], 0);
}
