//! JSON bodies: syntax, and what the contract asks beyond it.

use std::fmt;

use api_types::error::Code;
use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Value};

use crate::error::ApiError;

/// A JSON object.
pub type Object = Map<String, Value>;

enum Top {
    Object(Object),
    Repeated(String),
    Other,
}

impl<'de> Deserialize<'de> for Top {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TopVisitor)
    }
}

struct TopVisitor;

impl<'de> Visitor<'de> for TopVisitor {
    type Value = Top;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Top, A::Error> {
        let mut object = Object::new();
        let mut repeated = None;
        while let Some((key, value)) = map.next_entry::<String, Value>()? {
            if object.insert(key.clone(), value).is_some() {
                repeated.get_or_insert(key);
            }
        }
        Ok(repeated.map_or(Top::Object(object), Top::Repeated))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Top, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Top::Other)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Top, E> {
        Ok(Top::Other)
    }
    fn visit_i64<E>(self, _: i64) -> Result<Top, E> {
        Ok(Top::Other)
    }
    fn visit_u64<E>(self, _: u64) -> Result<Top, E> {
        Ok(Top::Other)
    }
    fn visit_f64<E>(self, _: f64) -> Result<Top, E> {
        Ok(Top::Other)
    }
    fn visit_str<E>(self, _: &str) -> Result<Top, E> {
        Ok(Top::Other)
    }
    fn visit_unit<E>(self) -> Result<Top, E> {
        Ok(Top::Other)
    }
}

/// Reads a body that must be a JSON object.
///
/// # Errors
/// 400 when it is no JSON, repeats a top-level key or holds U+0000; 422 when it is no object.
pub fn parse(bytes: &[u8]) -> Result<Object, ApiError> {
    let malformed = |message: String| ApiError::new(Code::MalformedBody, message);
    let top = serde_json::from_slice(bytes)
        .map_err(|error| malformed("The body is not valid JSON".to_owned()).caused_by(error))?;
    match top {
        Top::Object(object) if object.iter().any(|(key, value)| key.contains('\0') || holds_nul(value)) => {
            Err(malformed("Texts must not hold the character U+0000".to_owned()))
        }
        Top::Object(object) => Ok(object),
        Top::Repeated(key) => Err(malformed(format!("The key '{key}' is repeated"))),
        Top::Other => Err(ApiError::field(Code::InvalidType, "body", "The body must be an object")),
    }
}

/// Reads `application/x-www-form-urlencoded` as an object of texts.
///
/// # Errors
/// 400 when it repeats a key or holds U+0000.
pub fn parse_form(bytes: &[u8]) -> Result<Object, ApiError> {
    let malformed = |message: String| ApiError::new(Code::MalformedBody, message);
    let mut object = Object::new();
    for (key, value) in url::form_urlencoded::parse(bytes) {
        if key.contains('\0') || value.contains('\0') {
            return Err(malformed("Texts must not hold the character U+0000".to_owned()));
        }
        if object.insert(key.clone().into_owned(), Value::from(value.into_owned())).is_some() {
            return Err(malformed(format!("The key '{key}' is repeated")));
        }
    }
    Ok(object)
}

// Recursion is bounded: serde_json stops at 128 levels.
fn holds_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(values) => values.iter().any(holds_nul),
        Value::Object(object) => object.iter().any(|(key, value)| key.contains('\0') || holds_nul(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// A text that is equal for equal JSON values, whatever the order of their keys.
#[must_use]
pub fn canonical(object: &Object) -> String {
    let mut out = String::new();
    write_object(object, &mut out);
    out
}

fn write_object(object: &Object, out: &mut String) {
    let mut entries: Vec<_> = object.iter().collect();
    entries.sort_unstable_by_key(|(key, _)| *key);
    out.push('{');
    for (key, value) in entries {
        out.push_str(&Value::from(key.as_str()).to_string());
        out.push(':');
        write_value(value, out);
        out.push(',');
    }
    out.push('}');
}

fn write_value(value: &Value, out: &mut String) {
    match value {
        Value::Object(object) => write_object(object, out),
        Value::Array(values) => {
            out.push('[');
            for value in values {
                write_value(value, out);
                out.push(',');
            }
            out.push(']');
        }
        // `1` and `1.0` are one number; beyond 2^53 a double is no longer sure which.
        Value::Number(number) => match number.as_f64() {
            Some(value) if value.fract() == 0.0 && value.abs() < 9_007_199_254_740_992.0 => {
                // Adding zero makes `-0` a `0`.
                out.push_str(&format!("{:.0}", value + 0.0));
            }
            _ => out.push_str(&number.to_string()),
        },
        scalar => out.push_str(&scalar.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use api_types::error::Code;

    use super::{canonical, parse, parse_form};

    fn code(body: &str) -> Code {
        parse(body.as_bytes()).unwrap_err().code()
    }

    #[test]
    fn what_is_no_json_is_malformed() {
        assert_eq!(code("{nope"), Code::MalformedBody);
        assert_eq!(code(""), Code::MalformedBody);
        assert_eq!(code(&"[".repeat(100_000)), Code::MalformedBody);
    }

    #[test]
    fn repeated_top_level_keys_and_nul_are_malformed() {
        assert_eq!(code(r#"{"a":1,"a":2}"#), Code::MalformedBody);
        assert_eq!(code(r#"{"a":{"b":["\u0000"]}}"#), Code::MalformedBody);
    }

    #[test]
    fn a_form_is_an_object_of_texts() {
        let form = parse_form(b"username=ada&password=a+b%26c&empty=").unwrap();
        assert_eq!(
            (&form["username"], &form["password"], &form["empty"]),
            (&"ada".into(), &"a b&c".into(), &"".into())
        );
        for bad in [&b"a=1&a=2"[..], b"a=%00", b"%00=a"] {
            assert_eq!(parse_form(bad).unwrap_err().code(), Code::MalformedBody);
        }
    }

    #[test]
    fn what_is_no_object_has_the_wrong_type() {
        for body in ["[]", "[1,[2]]", "\"text\"", "3", "-3", "2.5", "true", "null"] {
            let error = parse(body.as_bytes()).unwrap_err();
            assert_eq!((error.code(), error.details()[0].field.as_str()), (Code::InvalidType, "body"), "{body}");
        }
    }

    #[test]
    fn equal_values_are_equal_whatever_the_order_of_keys() {
        let one = parse(br#"{"a":{"x":1,"y":[1,2]},"b":2}"#).unwrap();
        let two = parse(br#"{"b":2,"a":{"y":[1,2],"x":1}}"#).unwrap();
        let other = parse(br#"{"b":2,"a":{"y":[2,1],"x":1}}"#).unwrap();
        assert_eq!(canonical(&one), canonical(&two));
        assert_ne!(canonical(&one), canonical(&other));
    }

    #[test]
    fn equal_numbers_are_equal_however_they_are_written() {
        let written = |text: &str| canonical(&parse(format!(r#"{{"n":{text}}}"#).as_bytes()).unwrap());
        assert_eq!(written("100"), written("1e2"));
        assert_eq!(written("0"), written("-0.0"));
        assert_ne!(written("1"), written("1.5"));
        assert_ne!(written("9007199254740993"), written("9007199254740992"));
        assert_ne!(written("1"), written("\"1\""));
    }
}
