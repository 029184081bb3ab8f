//! The forms of texts that name something on this door (AINS contract, section 2.1). Lengths are in characters, which here are bytes.

/// A path segment of its own, and so the name of no worker.
const RESERVED: &str = "leaderboard";
const AGENT_ID_MAX: usize = 128;
const CAPABILITY_MAX: usize = 190;
const VERSION_MAX: usize = 64;

/// Whether a text is a capability with its version: `ml-training:v1`.
#[must_use]
pub fn is_tag(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    text.split_once(':').is_some_and(|(capability, version)| {
        is_name(capability, CAPABILITY_MAX, plain) && is_name(version, VERSION_MAX, plain)
    })
}

/// Whether a worker may be called that.
#[must_use]
pub fn is_agent_id(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b':' | b'-');
    is_name(text, AGENT_ID_MAX, plain) && text != RESERVED
}

fn is_name(text: &str, max: usize, plain: impl Fn(u8) -> bool) -> bool {
    text.len() <= max && text.starts_with(|first: char| first.is_ascii_alphanumeric()) && text.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::{is_agent_id, is_tag};

    #[test]
    fn a_tag_is_a_capability_and_a_version() {
        let longest = format!("{}:{}", "a".repeat(190), "1".repeat(64));
        for good in ["ml-training:v1", "a:1", "A.b_c-d:V1.2-rc_3", "agent.7:v1", &longest] {
            assert!(is_tag(good), "{good}");
        }
        let (long, version) = (format!("{}:v1", "a".repeat(191)), format!("a:{}", "1".repeat(65)));
        for bad in ["", "a", ":v1", "a:", "a:b:c", "-a:v1", "a:-1", "a b:v1", "ä:v1", "a:v1\n", &long, &version] {
            assert!(!is_tag(bad), "{bad}");
        }
    }

    #[test]
    fn a_worker_is_not_called_leaderboard() {
        for good in ["a", "imago:7", "Agent_1.x-y", "leaderboard2", &"a".repeat(128)] {
            assert!(is_agent_id(good), "{good}");
        }
        for bad in ["", "leaderboard", ":a", "a/b", "a b", "é", &"a".repeat(129)] {
            assert!(!is_agent_id(bad), "{bad}");
        }
    }
}
