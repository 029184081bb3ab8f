//! What a value must be.

use std::ops::RangeInclusive;

use api_types::{ains::AinsCode, error::Code};
use chrono::{DateTime, Utc};
use serde_json::Value;

use super::{Fields, Object};

/// Why a value is refused. `below` names the part that is to blame, e.g. `[2]`; empty for the value itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub code: Code,
    /// What the AINS door calls it, where it has a code of its own for the field.
    pub ains: Option<AinsCode>,
    pub below: String,
    pub message: String,
}

impl Problem {
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, ains: None, below: String::new(), message: message.into() }
    }

    /// The same problem, of a part of the value.
    #[must_use]
    pub fn at(mut self, part: &str) -> Self {
        self.below = format!("{part}{}", self.below);
        self
    }
}

/// Reads a value, or says what is wrong with it.
pub trait Rule {
    type Out;

    /// # Errors
    /// All that is wrong, in order; never an empty list.
    fn read(&self, field: &str, value: &Value) -> Result<Self::Out, Vec<Problem>>;
}

/// The same rule, whose problems have a code of their own on the AINS door.
pub const fn coded<R>(rule: R, code: AinsCode) -> Coded<R> {
    Coded { rule, code }
}

/// See [`coded`].
#[derive(Debug, Clone, Copy)]
pub struct Coded<R> {
    rule: R,
    code: AinsCode,
}

impl<R: Rule> Rule for Coded<R> {
    type Out = R::Out;

    fn read(&self, field: &str, value: &Value) -> Result<R::Out, Vec<Problem>> {
        let named = |problem| Problem { ains: Some(self.code), ..problem };
        self.rule.read(field, value).map_err(|problems| problems.into_iter().map(named).collect())
    }
}

fn one<T>(code: Code, message: impl Into<String>) -> Result<T, Vec<Problem>> {
    Err(vec![Problem::new(code, message)])
}

/// A form that a text must have, and how to say so: `must …`.
type Form = (fn(&str) -> bool, &'static str);

/// A text of so many characters.
#[derive(Debug, Clone)]
pub struct Text {
    chars: RangeInclusive<usize>,
    trim: bool,
    form: Option<Form>,
}

impl Text {
    #[must_use]
    pub const fn chars(chars: RangeInclusive<usize>) -> Self {
        Self { chars, trim: false, form: None }
    }

    /// White space around the text does not count and is dropped.
    #[must_use]
    pub const fn trimmed(mut self) -> Self {
        self.trim = true;
        self
    }

    /// The form that a text of right length must have, and how to say so: `must be …`.
    #[must_use]
    pub const fn of_form(mut self, form: fn(&str) -> bool, must: &'static str) -> Self {
        self.form = Some((form, must));
        self
    }
}

impl Rule for Text {
    type Out = String;

    fn read(&self, field: &str, value: &Value) -> Result<String, Vec<Problem>> {
        let Value::String(text) = value else {
            return one(Code::InvalidType, format!("{field} must be a text"));
        };
        let text = if self.trim { text.trim() } else { text };
        // Bytes bound characters: no need to count those of a text that is far too long.
        let length = if text.len() > self.chars.end().saturating_mul(4) { usize::MAX } else { text.chars().count() };
        let (low, high) = (self.chars.start(), self.chars.end());
        if !self.chars.contains(&length) || (*low > 0 && text.trim().is_empty()) {
            return one(Code::InvalidRange, format!("{field} must have {low} to {high} characters"));
        }
        match self.form {
            Some((form, must)) if !form(text) => one(Code::InvalidFormat, format!("{field} must {must}")),
            _ => Ok(text.to_owned()),
        }
    }
}

/// A whole number.
#[derive(Debug, Clone)]
pub struct Integer(pub RangeInclusive<i64>);

impl Rule for Integer {
    type Out = i64;

    fn read(&self, field: &str, value: &Value) -> Result<i64, Vec<Problem>> {
        let (low, high) = (self.0.start(), self.0.end());
        let message = || format!("{field} must be an integer between {low} and {high}");
        let number = match value {
            Value::Number(number) if number.is_i64() || number.is_u64() => number.as_i64(),
            // Too large for 64 bits; the parser keeps no more of it than that.
            Value::Number(number) if number.as_f64().is_some_and(|number| number.abs() >= 1e19) => None,
            _ => return one(Code::InvalidType, message()),
        };
        match number.filter(|number| self.0.contains(number)) {
            Some(number) => Ok(number),
            None => one(Code::InvalidRange, message()),
        }
    }
}

/// A number, whole or not.
#[derive(Debug, Clone)]
pub struct Number(pub RangeInclusive<f64>);

impl Rule for Number {
    type Out = f64;

    fn read(&self, field: &str, value: &Value) -> Result<f64, Vec<Problem>> {
        let (low, high) = (self.0.start(), self.0.end());
        match value.as_f64() {
            None => one(Code::InvalidType, format!("{field} must be a number")),
            Some(number) if self.0.contains(&number) => Ok(number),
            Some(_) => one(Code::InvalidRange, format!("{field} must be between {low} and {high}")),
        }
    }
}

#[derive(Debug, Clone, Copy)]
pub struct Boolean;

impl Rule for Boolean {
    type Out = bool;

    fn read(&self, field: &str, value: &Value) -> Result<bool, Vec<Problem>> {
        value.as_bool().map_or_else(|| one(Code::InvalidType, format!("{field} must be true or false")), Ok)
    }
}

/// One of a closed list of names.
#[derive(Debug, Clone, Copy)]
pub struct Choice(pub &'static [&'static str]);

impl Rule for Choice {
    type Out = String;

    fn read(&self, field: &str, value: &Value) -> Result<String, Vec<Problem>> {
        match value {
            Value::String(text) if self.0.contains(&text.as_str()) => Ok(text.clone()),
            Value::String(_) => one(Code::InvalidFormat, format!("{field} must be one of {}", self.0.join(", "))),
            _ => one(Code::InvalidType, format!("{field} must be a text")),
        }
    }
}

/// A point in time.
#[derive(Debug, Clone, Copy)]
pub struct Time {
    /// It must lie after this.
    pub after: Option<DateTime<Utc>>,
}

impl Rule for Time {
    type Out = DateTime<Utc>;

    fn read(&self, field: &str, value: &Value) -> Result<DateTime<Utc>, Vec<Problem>> {
        let Value::String(text) = value else {
            return one(Code::InvalidType, format!("{field} must be a text"));
        };
        match api_types::time::parse(text) {
            None => one(Code::InvalidFormat, format!("{field} must be an RFC 3339 time")),
            Some(time) if self.after.is_some_and(|after| time <= after) => {
                one(Code::InvalidRange, format!("{field} must lie in the future"))
            }
            Some(time) => Ok(time),
        }
    }
}

/// An object, kept as it is, of at most so many bytes as JSON.
#[derive(Debug, Clone, Copy)]
pub struct JsonObject {
    pub bytes_max: usize,
}

impl Rule for JsonObject {
    type Out = Object;

    fn read(&self, field: &str, value: &Value) -> Result<Object, Vec<Problem>> {
        let Value::Object(object) = value else {
            return one(Code::InvalidType, format!("{field} must be an object"));
        };
        if value.to_string().len() > self.bytes_max {
            return one(Code::InvalidRange, format!("{field} must have at most {} bytes", self.bytes_max));
        }
        Ok(object.clone())
    }
}

/// A list whose entries all follow one rule.
#[derive(Debug, Clone)]
pub struct List<R> {
    pub each: R,
    pub max: usize,
}

impl<R: Rule> Rule for List<R> {
    type Out = Vec<R::Out>;

    fn read(&self, field: &str, value: &Value) -> Result<Vec<R::Out>, Vec<Problem>> {
        let Value::Array(values) = value else {
            return one(Code::InvalidType, format!("{field} must be a list"));
        };
        if values.len() > self.max {
            return one(Code::InvalidRange, format!("{field} must have at most {} entries", self.max));
        }
        let mut out = Vec::with_capacity(values.len());
        let mut problems = Vec::new();
        for (index, value) in values.iter().enumerate() {
            let part = format!("[{index}]");
            match self.each.read(&format!("{field}{part}"), value) {
                Ok(entry) => out.push(entry),
                Err(found) => problems.extend(found.into_iter().map(|problem| problem.at(&part))),
            }
        }
        if problems.is_empty() { Ok(out) } else { Err(problems) }
    }
}

/// A list kept as it is, of at most so many entries; what the entries must be is checked elsewhere.
#[derive(Debug, Clone, Copy)]
pub struct Values {
    pub max: usize,
}

impl Rule for Values {
    type Out = Vec<Value>;

    fn read(&self, field: &str, value: &Value) -> Result<Vec<Value>, Vec<Problem>> {
        match value {
            Value::Array(values) if values.len() <= self.max => Ok(values.clone()),
            Value::Array(_) => one(Code::InvalidRange, format!("{field} must have at most {} entries", self.max)),
            _ => one(Code::InvalidType, format!("{field} must be a list")),
        }
    }
}

/// An object read field by field.
pub fn any<T, F: Fn(&mut Fields<'_>) -> T>(read: F) -> Nested<F> {
    Nested(read)
}

/// See [`any`].
#[derive(Debug, Clone, Copy)]
pub struct Nested<F>(F);

impl<T, F: Fn(&mut Fields<'_>) -> T> Rule for Nested<F> {
    type Out = T;

    fn read(&self, field: &str, value: &Value) -> Result<T, Vec<Problem>> {
        let Value::Object(object) = value else {
            return one(Code::InvalidType, format!("{field} must be an object"));
        };
        let mut fields = Fields::below(field, object);
        let out = (self.0)(&mut fields);
        let problems = fields.into_problems();
        if problems.is_empty() { Ok(out) } else { Err(problems) }
    }
}
