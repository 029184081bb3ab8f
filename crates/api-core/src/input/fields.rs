//! The fields of an object, read one after the other.

use api_types::error::Code;
use serde_json::Value;

use super::{Object, Problem, Rule};
use crate::{
    context,
    error::{ApiError, detail},
};

/// Unknown fields that are named; a body can hold a hundred thousand.
const WARNINGS_MAX: usize = 100;

/// Reads the fields of an object and collects what is wrong with them.
///
/// A field that is wrong reads as its type's default, so nothing read may be used before [`Fields::finish`] has passed.
#[derive(Debug)]
pub struct Fields<'a> {
    object: &'a Object,
    /// Dotted name of the object; empty for the body itself.
    name: String,
    known: Vec<&'static str>,
    problems: Vec<Problem>,
}

impl<'a> Fields<'a> {
    /// The fields of the body.
    #[must_use]
    pub fn of(object: &'a Object) -> Self {
        Self::below("", object)
    }

    pub(super) fn below(name: &str, object: &'a Object) -> Self {
        Self { object, name: name.to_owned(), known: Vec::new(), problems: Vec::new() }
    }

    /// A field that must be there and not null.
    pub fn required<R: Rule>(&mut self, name: &'static str, rule: &R) -> R::Out
    where
        R::Out: Default,
    {
        match self.present(name) {
            Some(value) => self.read(name, rule, value).unwrap_or_default(),
            None => {
                self.missing(name);
                R::Out::default()
            }
        }
    }

    fn missing(&mut self, name: &str) {
        let field = self.full_name(name);
        self.problem(name, Problem::new(Code::RequiredField, format!("Field '{field}' is required")));
    }

    /// A field that may be absent or null.
    pub fn optional<R: Rule>(&mut self, name: &'static str, rule: &R) -> Option<R::Out> {
        let value = self.present(name)?;
        self.read(name, rule, value)
    }

    /// A field of a change: one that is absent stays as it is (`None`), null restores the default, and where there is none the
    /// field is required.
    pub fn changed<R: Rule>(&mut self, name: &'static str, rule: &R, default: Option<R::Out>) -> Option<R::Out> {
        match self.raw(name)? {
            Value::Null if default.is_some() => default,
            Value::Null => {
                self.missing(name);
                None
            }
            value => self.read(name, rule, value),
        }
    }

    /// Fields that the server sets: in a body they mean nothing, also where somebody sends back what was answered.
    pub fn set_by_server(&mut self, names: &[&'static str]) {
        self.known.extend(names);
    }

    /// The value of a field as it is: `None` when it is absent, `Some(Null)` when it is null.
    pub fn raw(&mut self, name: &'static str) -> Option<&'a Value> {
        self.known.push(name);
        self.object.get(name)
    }

    /// A field that is known and ignored, with a warning.
    pub fn ignored(&mut self, name: &'static str) {
        if self.raw(name).is_some() {
            context::warn(format!("Field '{name}' was ignored"));
        }
    }

    /// Adds a problem with a field.
    pub fn problem(&mut self, name: &str, problem: Problem) {
        let joint = if self.name.is_empty() { "" } else { "." };
        self.problems.push(problem.at(&format!("{joint}{name}")));
    }

    /// Whether no problem has been found so far.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.problems.is_empty()
    }

    /// The names in the object that nobody asked for.
    fn unknown(&self) -> impl Iterator<Item = &'a String> {
        self.object.keys().filter(|key| !self.known.contains(&key.as_str()))
    }

    /// Ends the reading of the body: all problems as one error; otherwise unknown fields become warnings.
    ///
    /// # Errors
    /// 400 or 422 with a detail for each problem.
    pub fn finish(self) -> Result<(), ApiError> {
        if self.problems.is_empty() {
            for name in self.unknown().take(WARNINGS_MAX) {
                // A name can be as long as the body; a warning need not be.
                let name: String = name.chars().take(100).collect();
                context::warn(format!("Unknown field '{name}' was ignored"));
            }
            return Ok(());
        }
        let details = self.problems.into_iter().map(|problem| {
            let mut detail = detail(problem.code, &problem.below, &problem.message);
            if let Some(code) = problem.ains {
                code.as_str().clone_into(&mut detail.code);
            }
            (problem.code, detail)
        });
        ApiError::fields(details.collect()).map_or(Ok(()), Err)
    }

    pub(super) fn into_problems(self) -> Vec<Problem> {
        self.problems
    }

    fn present(&mut self, name: &'static str) -> Option<&'a Value> {
        self.raw(name).filter(|value| !value.is_null())
    }

    fn full_name(&self, name: &str) -> String {
        if self.name.is_empty() { name.to_owned() } else { format!("{}.{name}", self.name) }
    }

    fn read<R: Rule>(&mut self, name: &str, rule: &R, value: &Value) -> Option<R::Out> {
        match rule.read(&self.full_name(name), value) {
            Ok(out) => Some(out),
            Err(problems) => {
                for problem in problems {
                    self.problem(name, problem);
                }
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use api_types::error::Code;
    use serde_json::{Value, json};

    use super::Fields;
    use crate::{
        error::ApiError,
        input::{Choice, Integer, List, Object, Text, any},
    };

    fn object(value: Value) -> Object {
        match value {
            Value::Object(object) => object,
            _ => unreachable!(),
        }
    }

    fn read(body: Value) -> Result<(String, i64), ApiError> {
        let body = object(body);
        let mut fields = Fields::of(&body);
        let inner = any(|fields| fields.required("name", &Text::chars(1..=5).trimmed()));
        let name = fields.required("role", &inner);
        let cycles = fields.optional("cycles", &Integer(0..=11)).unwrap_or(0);
        let kinds = List { each: Choice(&["a", "b"]), max: 3 };
        fields.optional("kinds", &kinds);
        fields.finish()?;
        Ok((name, cycles))
    }

    fn problems(body: Value) -> Vec<(String, String)> {
        let error = read(body).unwrap_err();
        error.details().iter().map(|d| (d.field.clone(), d.code.clone())).collect()
    }

    #[test]
    fn all_problems_are_listed_in_the_order_of_the_fields() {
        let found = problems(json!({"cycles": 99, "role": {}, "kinds": ["a", "x", 3]}));
        let expected = [
            ("role.name", "REQUIRED_FIELD"),
            ("cycles", "INVALID_RANGE"),
            ("kinds[1]", "INVALID_FORMAT"),
            ("kinds[2]", "INVALID_TYPE"),
        ];
        assert_eq!(found, expected.map(|(field, code)| (field.to_owned(), code.to_owned())));
    }

    #[test]
    fn code_and_message_are_those_of_the_first_problem() {
        let error = read(json!({"cycles": "3"})).unwrap_err();
        assert_eq!(error.code(), Code::RequiredField);
        assert_eq!(error.message(), "Field 'role' is required");
        assert_eq!(error.details().len(), 2);
    }

    #[test]
    fn integers_are_whole_json_numbers() {
        for bad in [json!(3.0), json!("3"), json!(true), json!([])] {
            assert_eq!(problems(json!({"role": {"name": "a"}, "cycles": bad}))[0].1, "INVALID_TYPE");
        }
        assert_eq!(read(json!({"role": {"name": " a "}, "cycles": 11})).unwrap(), ("a".to_owned(), 11));
    }

    #[test]
    fn null_is_absent() {
        assert_eq!(problems(json!({"role": null}))[0].1, "REQUIRED_FIELD");
        assert!(read(json!({"role": {"name": "a"}, "cycles": null})).is_ok());
    }

    #[test]
    fn of_a_change_absent_stays_and_null_restores_what_is_not_required() {
        let body = object(json!({"a": null, "b": null, "c": "x", "d": 3}));
        let mut fields = Fields::of(&body);
        let text = Text::chars(1..=5);
        assert_eq!(fields.changed("a", &text, Some("default".to_owned())), Some("default".to_owned()));
        assert_eq!(fields.changed("c", &text, None), Some("x".to_owned()));
        assert_eq!(fields.changed("e", &text, None), None);
        assert!(fields.is_good());
        assert_eq!(fields.changed("b", &text, None), None);
        assert_eq!(fields.changed("d", &text, None), None);
        let error = fields.finish().unwrap_err();
        let found: Vec<_> = error.details().iter().map(|d| (d.field.as_str(), d.code.as_str())).collect();
        assert_eq!(found, [("b", "REQUIRED_FIELD"), ("d", "INVALID_TYPE")]);
    }

    #[test]
    fn a_blank_text_is_out_of_range() {
        assert_eq!(problems(json!({"role": {"name": "   "}}))[0].1, "INVALID_RANGE");
        assert_eq!(problems(json!({"role": {"name": "aaaaaa"}}))[0].1, "INVALID_RANGE");
    }
}
