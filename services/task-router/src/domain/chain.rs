//! What a chain hands on, and how it tells where it stands (AINS contract, section 6.1).

use serde_json::{Map, Value};

use super::{state::State, trust::NO_ERROR_GIVEN};

/// The key under which a step finds the result of the one before.
pub const PREVIOUS_OUTPUT: &str = "previous_output";

/// The `input_data` of a step's task: the step's own, and what the step before gave if it asks for that. `None` before the first step.
#[must_use]
pub fn step_input(
    mut own: Map<String, Value>,
    uses_previous: bool,
    previous: Option<Option<Value>>,
) -> Map<String, Value> {
    if let (true, Some(result)) = (uses_previous, previous) {
        own.insert(PREVIOUS_OUTPUT.to_owned(), result.unwrap_or_default());
    }
    own
}

/// The chain's `error_message` when the task of the step at `index` ended in this state, with this error. `None` when it did
/// not fail.
#[must_use]
pub fn failure(index: usize, state: State, error: Option<&str>) -> Option<String> {
    let why = match state {
        State::Failed => error.unwrap_or(NO_ERROR_GIVEN),
        State::Cancelled => "task cancelled",
        State::TimedOut => "task timed out",
        State::Pending | State::Assigned | State::Running | State::Completed => return None,
    };
    Some(format!("Step {index} failed: {why}"))
}

/// Completed steps of all in percent, one decimal, half up.
#[must_use]
pub fn progress_percentage(completed: u32, total: u32) -> f64 {
    let (completed, total) = (u64::from(completed), u64::from(total.max(1)));
    let tenths = (2_000 * completed + total) / (2 * total);
    f64::from(u32::try_from(tenths).unwrap_or(u32::MAX)) / 10.0
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value, json};

    use super::{failure, progress_percentage, step_input};
    use crate::domain::state::State;

    fn own() -> Map<String, Value> {
        json!({"a": 1, "previous_output": "mine"}).as_object().cloned().unwrap()
    }

    #[test]
    fn a_step_gets_the_previous_result_if_it_asks_for_it() {
        let input = |uses, previous| Value::Object(step_input(own(), uses, previous));
        assert_eq!(input(true, Some(Some(json!([2])))), json!({"a": 1, "previous_output": [2]}));
        assert_eq!(input(true, Some(None)), json!({"a": 1, "previous_output": null}));
        assert_eq!(input(true, None), Value::Object(own()), "the first step has none");
        assert_eq!(input(false, Some(Some(json!(2)))), Value::Object(own()));
    }

    #[test]
    fn a_failed_step_says_why() {
        let said = |state, error| failure(1, state, error);
        assert_eq!(said(State::Failed, Some("oops")).as_deref(), Some("Step 1 failed: oops"));
        assert_eq!(said(State::Failed, None).as_deref(), Some("Step 1 failed: no error message"));
        assert_eq!(said(State::Cancelled, Some("oops")).as_deref(), Some("Step 1 failed: task cancelled"));
        assert_eq!(said(State::TimedOut, None).as_deref(), Some("Step 1 failed: task timed out"));
        assert_eq!(said(State::Completed, None), None);
    }

    #[test]
    fn progress_has_one_decimal() {
        let shares = [(0, 3), (1, 3), (2, 3), (3, 3), (1, 16)].map(|(done, total)| progress_percentage(done, total));
        assert_eq!(shares, [0.0, 33.3, 66.7, 100.0, 6.3]);
    }
}
