//! A bounded memory of texts embedded lately, so that equal texts cost one forward pass.

use std::collections::{BTreeMap, HashMap};

use sha2::{Digest, Sha256};

use crate::Vector;

/// A digest, not the text: an entry's size then does not depend on how long its text is.
pub(crate) type Key = [u8; 32];

pub(crate) fn key(text: &str) -> Key {
    Sha256::digest(text.as_bytes()).into()
}

/// Drops what was used longest ago once it holds `capacity` entries.
pub(crate) struct Cache {
    capacity: usize,
    clock: u64,
    entries: HashMap<Key, Entry>,
    /// Last use, oldest first.
    by_age: BTreeMap<u64, Key>,
}

struct Entry {
    used_at: u64,
    vector: Vector,
}

impl Cache {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { capacity, clock: 0, entries: HashMap::new(), by_age: BTreeMap::new() }
    }

    pub(crate) fn get(&mut self, key: &Key) -> Option<Vector> {
        self.clock += 1;
        let entry = self.entries.get_mut(key)?;
        self.by_age.remove(&entry.used_at);
        self.by_age.insert(self.clock, *key);
        entry.used_at = self.clock;
        Some(entry.vector.clone())
    }

    pub(crate) fn insert(&mut self, key: Key, vector: Vector) {
        self.clock += 1;
        let entry = Entry { used_at: self.clock, vector };
        if let Some(old) = self.entries.insert(key, entry) {
            self.by_age.remove(&old.used_at);
        }
        self.by_age.insert(self.clock, key);
        while self.entries.len() > self.capacity {
            let Some((_, oldest)) = self.by_age.pop_first() else {
                break;
            };
            self.entries.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Cache, key};

    #[test]
    fn the_entry_used_longest_ago_goes_first() {
        let mut cache = Cache::new(2);
        cache.insert(key("a"), vec![1.0]);
        cache.insert(key("b"), vec![2.0]);
        assert!(cache.get(&key("a")).is_some());
        cache.insert(key("c"), vec![3.0]);
        assert_eq!(cache.get(&key("a")), Some(vec![1.0]));
        assert_eq!(cache.get(&key("b")), None);
        assert_eq!(cache.get(&key("c")), Some(vec![3.0]));
    }

    #[test]
    fn writing_an_entry_again_does_not_push_another_out() {
        let mut cache = Cache::new(2);
        cache.insert(key("a"), vec![1.0]);
        cache.insert(key("b"), vec![2.0]);
        cache.insert(key("b"), vec![2.5]);
        assert_eq!(cache.get(&key("a")), Some(vec![1.0]));
        assert_eq!(cache.get(&key("b")), Some(vec![2.5]));
        assert_eq!(cache.by_age.len(), 2);
    }
}
