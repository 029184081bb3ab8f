//! Reading a JSON body: every problem is found, named by its field, and listed in the order of the fields.

mod fields;
mod json;
mod rules;

pub use fields::Fields;
pub use json::{Object, canonical, parse, parse_form};
pub use rules::{
    Boolean, Choice, Coded, Integer, JsonObject, List, Number, Problem, Rule, Text, Time, Values, any, coded,
};
