//! The file, read as a stream.

use std::{fmt, io::Read};

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::{
    RestoreError, VERSION,
    format::{Given, agent},
};

/// Hands every agent of the file to `store`, and returns their number. The file is known to be a backup only when this has
/// returned.
pub(super) fn each(
    reader: impl Read,
    store: impl FnMut(Given) -> Result<(), RestoreError>,
) -> Result<usize, RestoreError> {
    let mut file = File { store, count: 0, error: None };
    let mut deserializer = serde_json::Deserializer::from_reader(reader);
    let read = deserializer.deserialize_map(&mut file).and_then(|()| deserializer.end());
    match (file.error, read) {
        (Some(error), _) => Err(error),
        (None, Err(error)) => Err(RestoreError::Format(format!("not a backup: {error}"))),
        (None, Ok(())) => Ok(file.count),
    }
}

struct File<F> {
    store: F,
    count: usize,
    /// What went wrong in our own part; the deserializer's error only stops the reading.
    error: Option<RestoreError>,
}

impl<F> File<F> {
    fn fail<E: serde::de::Error>(&mut self, error: RestoreError) -> E {
        self.error = Some(error);
        E::custom("stopped")
    }
}

impl<'de, F: FnMut(Given) -> Result<(), RestoreError>> Visitor<'de> for &mut File<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with \"version\" and \"agents\"")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let (mut has_version, mut has_agents) = (false, false);
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "version" => {
                    let version: Value = map.next_value()?;
                    if version != VERSION {
                        let message = format!("version {version} is not known, only \"{VERSION}\" is");
                        return Err(self.fail(RestoreError::Format(message)));
                    }
                    has_version = true;
                }
                "agents" if has_agents => return Err(A::Error::duplicate_field("agents")),
                "agents" => {
                    map.next_value_seed(Agents(&mut *self))?;
                    has_agents = true;
                }
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        match (has_version, has_agents) {
            (true, true) => Ok(()),
            (false, _) => Err(A::Error::missing_field("version")),
            (_, false) => Err(A::Error::missing_field("agents")),
        }
    }
}

struct Agents<'a, F>(&'a mut File<F>);

impl<'de, F: FnMut(Given) -> Result<(), RestoreError>> DeserializeSeed<'de> for Agents<'_, F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, F: FnMut(Given) -> Result<(), RestoreError>> Visitor<'de> for Agents<'_, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of agents")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let file = self.0;
        while let Some(value) = seq.next_element::<Value>()? {
            let given = match agent(value) {
                Ok(given) => given,
                Err(fault) => {
                    let message = format!("agents[{}]{fault}", file.count);
                    return Err(file.fail(RestoreError::Format(message)));
                }
            };
            if let Err(error) = (file.store)(given) {
                return Err(file.fail(error));
            }
            file.count += 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{RestoreError, each};

    fn ids(text: &str) -> Result<Vec<String>, String> {
        let mut ids = Vec::new();
        let read = each(text.as_bytes(), |given| {
            ids.push(given.agent_id);
            Ok(())
        });
        match read {
            Ok(count) => {
                assert_eq!(count, ids.len());
                Ok(ids)
            }
            Err(RestoreError::Format(fault)) => Err(fault),
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn agents_are_read_in_order_and_unknown_keys_are_ignored() {
        let file =
            json!({"extra": [1], "agents": [{"agent_id": "a", "hobby": 1}, {"agent_id": "b"}], "version": "1.0"});
        assert_eq!(ids(&file.to_string()).unwrap(), ["a", "b"]);
        assert_eq!(ids(r#"{"version": "1.0", "agents": []}"#).unwrap(), [""; 0]);
    }

    #[test]
    fn a_file_of_another_format_is_refused_with_its_fault() {
        for (file, fault) in [
            ("", "EOF"),
            ("[]", "expected an object"),
            ("{}", "version"),
            (r#"{"version": "1.0"}"#, "agents"),
            (r#"{"agents": []}"#, "version"),
            (r#"{"version": "2.0", "agents": []}"#, "\"2.0\""),
            (r#"{"version": 1.0, "agents": []}"#, "1.0"),
            (r#"{"version": "1.0", "agents": {}}"#, "expected an array of agents"),
            (r#"{"version": "1.0", "agents": []} x"#, "trailing"),
            (r#"{"version": "1.0", "agents": [{"agent_id": "a"}, 3]}"#, "agents[1] is not an object"),
            (r#"{"version": "1.0", "agents": [{"agent_id": "a"}"#, "EOF"),
        ] {
            let found = ids(file).unwrap_err();
            assert!(found.contains(fault), "{file}: {found}");
        }
    }
}
