//! Webhooks: one engine behind three doors. Who subscribes, what receivers get, and how it gets there.

pub(crate) mod dispatcher;
pub(crate) mod message;
pub(crate) mod sending;
pub(crate) mod settings;
pub(crate) mod subscribing;
pub(crate) mod upkeep;
pub(crate) mod work;

/// Through which door a webhook was made; it says what its receiver gets, and how often it is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Door {
    Ains,
    /// The native door.
    Mesh,
    Caxton,
}

impl Door {
    /// As the table has it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Ains => "ains",
            Self::Mesh => "mesh",
            Self::Caxton => "caxton",
        }
    }

    /// The door of that name; the table holds no others.
    pub(crate) fn of(name: &str) -> Self {
        match name {
            "ains" => Self::Ains,
            "caxton" => Self::Caxton,
            _ => Self::Mesh,
        }
    }
}
