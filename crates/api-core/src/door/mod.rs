//! Doors: the published APIs that one set of services answers. A path belongs to one door, and each door has its own
//! way to name a request, to say what went wrong, and to mark its answers.

pub mod ains;
mod native;

use actix_web::HttpResponse;
use api_types::ains::uuid_of;
use uuid::Uuid;

use crate::error::ApiError;

/// Of AINS ids of requests.
const AINS_REQUEST: &str = "req";

/// A published API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// Envelopes with `success`, `data` and `meta`.
    Native,
    /// Flat objects; errors with `details` as an object.
    Ains,
}

impl Door {
    /// The door that a path belongs to.
    #[must_use]
    pub fn of(path: &str) -> Self {
        let first = path.trim_start_matches('/').split('/').next().unwrap_or_default();
        if first == "ains" || first == "aitp" { Self::Ains } else { Self::Native }
    }

    /// A request's id, as this door writes it.
    #[must_use]
    pub fn request_id(self, id: Uuid) -> String {
        match self {
            Self::Native => id.to_string(),
            Self::Ains => format!("{AINS_REQUEST}_{}", id.simple()),
        }
    }

    /// The id that a request brings along, when it has the form that this door adopts.
    pub(crate) fn read_request_id(self, text: &str) -> Option<Uuid> {
        match self {
            Self::Native => text.parse().ok().filter(|_| text.len() == 36),
            Self::Ains => uuid_of(AINS_REQUEST, text),
        }
    }

    /// The header that names the API's version, and its value.
    pub(crate) const fn version_header(self) -> (&'static str, &'static str) {
        match self {
            Self::Native => ("x-api-version", "v1"),
            Self::Ains => ("api-version", "1.0.0"),
        }
    }

    /// The error as this door answers it.
    pub(crate) fn render(self, error: &ApiError) -> HttpResponse {
        match self {
            Self::Native => native::render(error),
            Self::Ains => ains::render(error),
        }
    }

    /// Whether a request that asks for version `asked` of the API can be served.
    pub(crate) fn speaks(self, asked: &str) -> bool {
        match self {
            Self::Native => true,
            Self::Ains => ["1", "v1", "1.0", "1.0.0"].contains(&asked.trim()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Door;

    #[test]
    fn a_path_belongs_to_one_door() {
        for path in ["/ains/tasks", "/ains", "/aitp/tasks/x"] {
            assert_eq!(Door::of(path), Door::Ains, "{path}");
        }
        for path in ["/", "/api/v1/agents", "/ainsworth", "/api/ains"] {
            assert_eq!(Door::of(path), Door::Native, "{path}");
        }
    }

    #[test]
    fn each_door_adopts_its_own_ids() {
        let id = "0190f1c2-0000-7000-8000-00000000002a".parse().unwrap();
        for door in [Door::Native, Door::Ains] {
            assert_eq!(door.read_request_id(&door.request_id(id)), Some(id));
        }
        assert_eq!(Door::Ains.read_request_id(&Door::Native.request_id(id)), None);
        assert_eq!(Door::Native.read_request_id(&Door::Ains.request_id(id)), None);
    }
}
