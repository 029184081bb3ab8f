use base64::{Engine as _, prelude::BASE64_STANDARD};
use ed25519_dalek::{Signer as _, SigningKey};
use p256::ecdsa;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::{Mode, PublicKey, Registration, Rejected, canonical, verify};

// Made with another implementation (OpenSSL, through Python's cryptography), for the text below.
const RSA: &str = "-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAwOrE+Y3tF6lQzmLck+G/
qST42bwFmAetF/fAZ1/EprxFGQgvOcE99saYBuZyJSbuxd3/3gg7cFL2PeKXyn6e
4SKdirXcAdNe2+xLPNmUPHpECdelm1Z8ZLfDmwBvTKozQmdR/xkBkZs9DxEscSSF
DY1JCYHPvZECuri9ocVoTxHvT03BAikreD3Dv6LceP2xVaCtecGBhSCX9aTsmu0C
09BEbzm9F+O79FmwpmcvRbKHx9o+b+Dv1/mq9J1++cyOGa51g6p9QyPGFgyO9DR1
cCcHGzvpWCkGouhTeevvzqOjUcTENToCqx8TRVbDCJz84uAajQeJC12lCtyFtePI
JQIDAQAB
-----END PUBLIC KEY-----
";
const PKCS1: &str = "ppEbxiA9zeABj98YqfBvuJWpT0q8plrYZLkfJJqTiJYf9sC5U5vwdqnLHl4wpyXrOXS2iZLsakAhn/36NLsFGTRAqEMUrbBeVDL7EYRKEiITMtXxjQ7XBGQEni6STLLm1vsmlbCJuIFCId+dz5FNfUC39g8qINYyVMBJNZcWx1wVmPSb7RAk6SzLPx1cYtm+YJUM9FC1acejLD0s8i/uZBHb/iOidJt3EjZNgaXiLUckKP6Uyw3Q2y6u0ZN7SXB5u60ks8GR7GoJgMRlGHtBNOYsJ1Ic+NeEVHgnLZ/AsT6g1WqE0rEDD3N4k+K22GPm6OuYiZlolQ8qtlf/0wtc6g==";
/// With a salt as long as the digest.
const PSS: &str = "S8S9yuD+jxdAzMrFDfrDI5tw3ku3OSBt0Bxst5FYeV9kthLTLYnN5VvYWm7FIz8G2tjbmttNAIb6hdMo8yDJlVC+aT7XRWHidwaMoDJirTysnYgB84aZbmHiSp9leQOPxUJFbmHpwnU1ZwBR3wg8Ea4KtDtyKY2WiI0YBjj/ZrAReGCnQqe+nbwaQnygHrhQBICN+Me3pvQceJbaW1TLGnFLq5K6UMSu3CHEid4qCb/uuJb9BvtpLvh06h/G1Gj5o6/Csqjrwk0SNubtWUbRT2LC8GgL0LabOLMaSbnsYdyarAMCoSmotjq9akXxQRMSyLRymI1PaIK6ZS2ki7miww==";
/// With the longest salt.
const PSS_LONGEST: &str = "H6xX2xqnCQsyKAg//txNywgmXgKIyafRtdlNJOgu1+aX3myh/fhPCU3f2bptDAxkcjcRjrZGz/eMqg81FI03hBITsqyJ2juM5FIGj2swsQYro4Ke/9xoMC7CDFroM3WwNaqLm5D/gHoQxn2ZtWcPHjz1aXhBuS7371xwKsB6qMulB1oMrZ/iD4FXBT64q02dGagzSc5qwOu1SsIsx4IbgDjNwvNbALGolGVs54qXK4hxuYZutNBUOUwv2wWKNpruvW3Jo8qf8kOaMmja2PQ7l1Zgc62zVENt2i4XcBPQfkS0/gCAmjxNKBWp3BaZiwOupHTQGPnmN6I87utPn2YZ3w==";
const PKCS1_SHA512: &str = "JfmP55RvGWRHo0lpB4MFVuT2SqJ3fEIyuKiThDuhjf7aq1tF8m/EZc5ZLr3ni8lEKiaDyP8lt8PHvBt0uuT7pQUGrErg9I7hZevcD7cY2EWMR1vMkXWDnfN4rOtadGPNMSJfghLcDTI5NQk5bhWTjhkNboidqySBkLcEc8jX4l4t1w2w6/ToPAklxaWQzUsaGMKFG1dFipqyDwbn+OAZqA4sAC2KlJ75onssxmdbHas2b3AzxYqQFEees1N4WsyirK43PnwpLdBxaC9bCOh79DPYHOe942OqPk6VTRs5IMKKg4sFvU5xMdKhscNymnumXdeKhSBsLakk76VpdU2trw==";
const EC: &str = "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAES6BzBzOXr4RLnJ91RhuSKyoFN+ho
atiWsjvvlFEd5prPUnV2NkrGAhaXwntiNFnBFgS3wXXFc0VSiPRE5RGwKQ==
-----END PUBLIC KEY-----";
const EC_SIGNATURE: &str =
    "MEYCIQDiJK+FVWXRVEgBeV6p7bBgOnuQxh0wb1NHCMnQPdxlsgIhAMmuaNdW3MY9fKPkd/kotMx/PXjzeW7YzdiL19h6QfKo";
const EDWARDS: &str = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAn44LudimeyGR+yAwbfxCzGJeUZJfnDMgZNePDhYNHYo=\n-----END PUBLIC KEY-----\n";
const EDWARDS_HEX: &str = "9f8e0bb9d8a67b2191fb20306dfc42cc625e51925f9c332064d78f0e160d1d8a";
const EDWARDS_SIGNATURE: &str =
    "6nQhnaPFiRzGkEInEHSLN5nwZMuRtNNm5ex03RIibFHXkp+HwzAu5Rtwit8D3W6cMwuRlSnr4VnzXL1nrPI/BA==";
/// Of [`BODY`] without its signature, with sorted keys and no spaces.
const EDWARDS_OF_BODY: &str =
    "76d4jbS5KrjSIFihHzlXzrrEpydhTFF5dIId0gk4tK2zPWkdvtzP0PmtkEVdUg0qeiOuEMXD48T39vY4HbSrCg==";

const AGENT: &str = "vector-1";
const ENDPOINT: &str = "https://worker.example/tasks";
const BODY: &str = r#" {"agent_id": "vector-1", "endpoint": "https:\/\/worker.example/tasks", "signature": {"any": 1},
    "tags": ["a:v1"], "display_name": "Zo\u00eb", "public_key": "k", "metadata": {"b": 1.5, "a": [true, null]}}"#;

fn judged(mode: Mode, public_key: &str, signature: &str) -> Result<bool, Rejected> {
    verify(mode, &Registration { agent_id: AGENT, endpoint: ENDPOINT, public_key, signature, body: BODY })
}

#[test]
fn signatures_of_every_kind_fit_their_keys() {
    let plain = |text: &str| BASE64_STANDARD.decode(text).unwrap();
    let vectors = [
        (RSA, PKCS1),
        (RSA, PSS),
        (RSA, PSS_LONGEST),
        (EC, EC_SIGNATURE),
        (EDWARDS, EDWARDS_SIGNATURE),
        (EDWARDS_HEX, EDWARDS_SIGNATURE),
        (EDWARDS, EDWARDS_OF_BODY),
    ];
    for (key, signature) in vectors {
        assert_eq!(judged(Mode::Lenient, key, signature), Ok(true), "{signature}");
        assert_eq!(judged(Mode::Required, key, &hex::encode(plain(signature))), Ok(true), "hex of {signature}");
        let url_safe = signature.replace('+', "-").replace('/', "_").replace('=', "");
        assert_eq!(judged(Mode::Lenient, key, &url_safe), Ok(true), "{url_safe}");
        let mut tampered = plain(signature);
        tampered[20] ^= 1;
        assert_eq!(judged(Mode::Lenient, key, &hex::encode(tampered)), Err(Rejected::Signature), "{signature}");
    }
}

#[test]
fn a_signature_fits_one_text_and_one_key_only() {
    for (key, signature) in
        [(RSA, EC_SIGNATURE), (EC, EDWARDS_SIGNATURE), (EDWARDS, PKCS1), (RSA, PKCS1_SHA512), (EC, "x")]
    {
        assert_eq!(judged(Mode::Lenient, key, signature), Err(Rejected::Signature));
    }
    let other = Registration {
        agent_id: "vector-2",
        endpoint: ENDPOINT,
        public_key: EDWARDS,
        signature: EDWARDS_OF_BODY,
        body: &BODY.replace("1.5", "1.50"),
    };
    assert_eq!(verify(Mode::Lenient, &other), Err(Rejected::Signature));
    assert_eq!(verify(Mode::Lenient, &Registration { body: BODY, ..other }), Ok(true));
    assert_eq!(
        verify(Mode::Lenient, &Registration { signature: EDWARDS_SIGNATURE, ..other }),
        Err(Rejected::Signature)
    );
}

#[test]
fn the_mode_decides_about_keys_that_cannot_be_read() {
    let p384 = "-----BEGIN PUBLIC KEY-----
MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAElrt/WcP+MQa78ulpC6VngWf5nyfERyMf
s58MKb40GqHFg749HP9IzacuJV4HQ30Cigg2YozY9mdgYzEDVFOESkvI/gxSPee3
ipTAz1VOe8j6BrldZqQ8a9/TyfaFZDMg
-----END PUBLIC KEY-----";
    let rsa_1024 = "-----BEGIN PUBLIC KEY-----
MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQCqB1upPIu537kxhFUYlEhpFGLW
22GO5J+D+ypjrwojhz2CMBORUzhoBnAwUCpXIxTl2BApKi9i87djryxuBvOY9msE
EqCpAp+l9HJrEjH4F6FRVeE/vGPQdRkd5+BvA+18h0ojnpYX0AA0Lg5tG3ScvRd1
WSesOZ2sB+LynEBptwIDAQAB
-----END PUBLIC KEY-----";
    let no_pem = "-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhki...\n-----END PUBLIC KEY-----";
    // The identity: a signature of zeros and one would fit everything.
    let weak = format!("01{}", "00".repeat(31));
    for key in ["k", "", no_pem, p384, rsa_1024, &weak, &RSA[..200], &EDWARDS_HEX[..62]] {
        assert_eq!(judged(Mode::Lenient, key, "s"), Ok(false), "{key}");
        assert_eq!(judged(Mode::Required, key, "s"), Err(Rejected::PublicKey), "{key}");
    }
    assert_eq!(judged(Mode::Off, EDWARDS, "s"), Ok(false));
    assert_eq!(Mode::NAMES.map(Mode::parse), [Some(Mode::Lenient), Some(Mode::Off), Some(Mode::Required)]);
    assert_eq!(Mode::parse("strict"), None);
}

#[test]
fn keys_made_here_are_read_too() {
    let secret = ecdsa::SigningKey::from_slice(&[7; 32]).unwrap();
    let mut der = hex::decode("3059301306072a8648ce3d020106082a8648ce3d030107034200").unwrap();
    der.extend_from_slice(secret.verifying_key().to_encoded_point(false).as_bytes());
    let pem = format!("-----BEGIN PUBLIC KEY-----\r\n{}\r\n-----END PUBLIC KEY-----\r\n", BASE64_STANDARD.encode(der));
    let text = format!("{AGENT}{ENDPOINT}");
    let signature: ecdsa::Signature = secret.sign(text.as_bytes());
    for form in [signature.to_bytes().to_vec(), signature.to_der().as_bytes().to_vec()] {
        assert_eq!(judged(Mode::Required, &pem, &hex::encode(form)), Ok(true));
    }
    // Several programs write a PEM text in one line.
    assert!(PublicKey::parse(&RSA.replace('\n', "")).is_some());
}

#[test]
fn the_text_has_sorted_keys_no_spaces_and_the_numbers_as_sent() {
    let text = canonical(
        r#"{"b": {"z":1e-05, "a":[ 1.0,-0 , 12345678901234567890123 ]}, "a":"\u00e4\n\"", "signature":"x", "":{} , "c":[]}"#,
    );
    let expected = r#"{"":{},"a":"ä\n\"","b":{"a":[1.0,-0,12345678901234567890123],"z":1e-05},"c":[]}"#;
    assert_eq!(text.as_deref(), Some(expected));
    let inner = canonical(r#"{"a":{"signature":1},"Z":"\ud83d\ude00","signature":2}"#);
    assert_eq!(inner.as_deref(), Some(r#"{"Z":"😀","a":{"signature":1}}"#), "only the outermost is left out");
}

#[test]
fn what_is_no_object_has_no_text() {
    let deep = format!("{{\"a\":{}1{}}}", "[".repeat(200_000), "]".repeat(200_000));
    for bad in [
        "",
        "[]",
        "1",
        "{",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{} {}",
        "{\"a\":x}",
        "{\"a\":\"",
        "{\"a\":\"\\",
        &deep,
    ] {
        assert_eq!(canonical(bad), None, "{}", &bad[..bad.len().min(20)]);
    }
}

fn trees() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(".{0,4}", inner, 0..4).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// The same, with the members of every object the other way round.
fn reversed(value: &Value) -> Value {
    match value {
        Value::Object(members) => Value::Object(
            members.iter().rev().map(|(name, value)| (name.clone(), reversed(value))).collect::<Map<_, _>>(),
        ),
        Value::Array(values) => values.iter().map(reversed).collect(),
        other => other.clone(),
    }
}

proptest! {
    #[test]
    fn the_text_depends_on_nothing_but_the_value(tree in trees()) {
        let body = json!({"x": tree, "agent_id": "a"});
        let text = canonical(&body.to_string());
        prop_assert_eq!(&canonical(&reversed(&body).to_string()), &text);
        prop_assert_eq!(&canonical(&serde_json::to_string_pretty(&body).unwrap()), &text);
        prop_assert_eq!(&canonical(text.as_deref().unwrap()), &text);
        let read: Value = serde_json::from_str(text.as_deref().unwrap()).unwrap();
        prop_assert_eq!(read, body);
    }

    #[test]
    fn a_signature_of_any_text_is_verified_and_of_no_other(
        (secret, text, other) in (any::<[u8; 32]>(), ".{0,40}", ".{0,40}"),
    ) {
        let secret = SigningKey::from_bytes(&secret);
        let key = PublicKey::parse(&hex::encode(secret.verifying_key().as_bytes())).unwrap();
        let signature = secret.sign(text.as_bytes()).to_bytes();
        prop_assert!(key.verifies(text.as_bytes(), &signature));
        prop_assert_eq!(key.verifies(other.as_bytes(), &signature), text == other);
    }
}
