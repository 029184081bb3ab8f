//! Input laid over the defaults of a template (AINS contract, section 6.3).

use serde_json::{Map, Value};

/// Objects are merged key by key at every depth; anything else, null and arrays too, replaces what was there.
#[must_use]
pub fn merged(mut defaults: Map<String, Value>, input: Map<String, Value>) -> Map<String, Value> {
    for (key, new) in input {
        let value = match (defaults.remove(&key), new) {
            (Some(Value::Object(old)), Value::Object(new)) => Value::Object(merged(old, new)),
            (_, new) => new,
        };
        defaults.insert(key, value);
    }
    defaults
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::merged;

    fn over(defaults: &Value, input: &Value) -> Value {
        let object = |value: &Value| value.as_object().cloned().unwrap();
        Value::Object(merged(object(defaults), object(input)))
    }

    #[test]
    fn objects_are_merged_at_every_depth_and_all_else_replaces() {
        let defaults = json!({"a": {"b": {"c": 1, "d": 2}, "e": [1, 2]}, "f": {"g": 1}, "h": 1, "i": {"j": 1}});
        let input = json!({"a": {"b": {"d": 3, "x": 4}, "e": [9]}, "f": null, "h": {"k": 1}, "i": {}});
        let expected = json!({"a": {"b": {"c": 1, "d": 3, "x": 4}, "e": [9]}, "f": null, "h": {"k": 1}, "i": {"j": 1}});
        assert_eq!(over(&defaults, &input), expected);
    }

    fn trees() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![Just(Value::Null), any::<i8>().prop_map(Value::from), Just(json!([{"a": 1}]))];
        let tree = leaf.prop_recursive(4, 32, 4, |inner| {
            prop::collection::hash_map("[a-c]", inner, 0..4).prop_map(|map| Value::Object(map.into_iter().collect()))
        });
        prop::collection::hash_map("[a-c]", tree, 0..4).prop_map(|map| Value::Object(map.into_iter().collect()))
    }

    proptest! {
        #[test]
        fn merging_keeps_the_input_and_adds_only_what_it_leaves_open(
            (defaults, input, third) in (trees(), trees(), trees()),
        ) {
            let once = over(&defaults, &input);
            prop_assert_eq!(&over(&once, &input), &once);
            prop_assert_eq!(over(&defaults, &json!({})), defaults.clone());
            prop_assert_eq!(over(&json!({}), &input), input.clone());
            prop_assert_eq!(over(&once, &third).as_object().unwrap().len(),
                over(&defaults, &over(&input, &third)).as_object().unwrap().len());
        }
    }
}
