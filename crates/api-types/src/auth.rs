//! Roles, scopes, and who a request is made for.

use std::{collections::BTreeSet, fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a credential may be, by its owner's job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    Admin,
    /// Also called `developer`.
    #[serde(alias = "developer")]
    Service,
    /// Also called `viewer`.
    #[serde(alias = "viewer")]
    User,
}

impl Role {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Service => "service",
            Self::User => "user",
        }
    }

    /// The scopes that the role gives to a credential without permissions of its own.
    #[must_use]
    pub const fn scopes(self) -> &'static [&'static str] {
        match self {
            Self::Admin => &["*"],
            Self::Service => NON_ADMINISTRATIVE,
            Self::User => &[
                "agents:read",
                "agents:write",
                "agents:delete",
                "knowledge:read",
                "skills:read",
                "tools:read",
                "chat:read",
                "chat:write",
                "templates:read",
                "registry:read",
            ],
        }
    }
}

impl FromStr for Role {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "admin" => Ok(Self::Admin),
            "service" | "developer" => Ok(Self::Service),
            "user" | "viewer" => Ok(Self::User),
            _ => Err(()),
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

const NON_ADMINISTRATIVE: &[&str] = &[
    "agents:read",
    "agents:write",
    "agents:delete",
    "skills:read",
    "skills:write",
    "knowledge:read",
    "knowledge:write",
    "tools:read",
    "tools:write",
    "tools:execute",
    "chat:read",
    "chat:write",
    "tasks:read",
    "tasks:write",
    "tasks:execute",
    "workflows:read",
    "workflows:write",
    "workflows:execute",
    "webhooks:manage",
    "templates:read",
    "templates:write",
    "registry:read",
    "registry:write",
    "secrets:manage",
    "observability:read",
    "observability:write",
    "integration:write",
];

const ADMINISTRATIVE: &[&str] = &["keys:manage", "users:manage", "audit:read", "trust:admin", "system:admin"];

/// Whether `scope` (`family:verb`) is for administration only.
#[must_use]
pub fn is_administrative(scope: &str) -> bool {
    ADMINISTRATIVE.contains(&scope)
}

/// Families in the singular that older clients write.
const SINGULAR: &[(&str, &str)] = &[
    ("agent", "agents"),
    ("skill", "skills"),
    ("tool", "tools"),
    ("task", "tasks"),
    ("workflow", "workflows"),
    ("webhook", "webhooks"),
    ("key", "keys"),
    ("template", "templates"),
    ("secret", "secrets"),
    ("user", "users"),
];

/// A permission in its canonical form: `family:verb`, `family:*` or `*`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(from = "String", into = "String")]
pub struct Scope(String);

impl Scope {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether holding `self` is enough for `wanted` (itself a canonical scope).
    #[must_use]
    pub fn grants(&self, wanted: &str) -> bool {
        grants(&self.0, wanted)
    }
}

fn grants(held: &str, wanted: &str) -> bool {
    if held == "*" || held == wanted {
        return true;
    }
    let (Some((family, verb)), Some((wanted_family, wanted_verb))) = (held.split_once(':'), wanted.split_once(':'))
    else {
        return false;
    };
    family == wanted_family && (verb == "*" || (verb == "write" && wanted_verb == "read"))
}

impl FromStr for Scope {
    type Err = String;

    /// Accepts `*`, `family:*` and the known `family:verb`s, families also in the singular.
    fn from_str(text: &str) -> Result<Self, String> {
        if text == "*" {
            return Ok(Self(text.to_owned()));
        }
        let unknown = || format!("'{text}' is not a scope");
        let (family, verb) = text.split_once(':').ok_or_else(unknown)?;
        let family = SINGULAR.iter().find(|(singular, _)| *singular == family).map_or(family, |(_, plural)| plural);
        let known =
            |scope: &&&str| scope.split_once(':').is_some_and(|(f, v)| f == family && (verb == "*" || v == verb));
        let mut all = NON_ADMINISTRATIVE.iter().chain(ADMINISTRATIVE);
        all.find(known).ok_or_else(unknown)?;
        Ok(Self(format!("{family}:{verb}")))
    }
}

/// Reads a scope as one of our services wrote it. One that is not known here, since it is newer than we are or somebody else's,
/// is kept as it is and grants nothing.
impl From<String> for Scope {
    fn from(text: String) -> Self {
        text.parse().unwrap_or(Self(text))
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<Scope> for String {
    fn from(scope: Scope) -> Self {
        scope.0
    }
}

/// Somebody who proved who they are: an API key's holder or a token's subject.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Principal {
    /// The key's id or the token's `sub`; `created_by` of what they make.
    pub id: String,
    /// The tenant; the id where a credential names none.
    pub client_id: String,
    pub roles: BTreeSet<Role>,
    /// Explicit permissions; empty means those of the roles.
    #[serde(default)]
    pub permissions: Vec<Scope>,
}

impl Principal {
    /// Whether the principal holds `wanted`.
    #[must_use]
    pub fn may(&self, wanted: &str) -> bool {
        if self.permissions.is_empty() {
            self.effective_roles().flat_map(Role::scopes).any(|held| grants(held, wanted))
        } else {
            self.permissions.iter().any(|held| held.grants(wanted))
        }
    }

    /// The scopes in force, each once: the explicit ones, else those of the roles; `*` alone where it is among them.
    #[must_use]
    pub fn scopes(&self) -> Vec<Scope> {
        let mut held: Vec<Scope> = if self.permissions.is_empty() {
            self.effective_roles().flat_map(Role::scopes).map(|scope| Scope((*scope).to_owned())).collect()
        } else {
            self.permissions.clone()
        };
        if let Some(everything) = held.iter().find(|scope| scope.as_str() == "*") {
            return vec![everything.clone()];
        }
        let mut seen = BTreeSet::new();
        held.retain(|scope| seen.insert(scope.clone()));
        held
    }

    #[must_use]
    pub fn is_admin(&self) -> bool {
        self.roles.contains(&Role::Admin)
    }

    /// Whether this is an administrator's credential: it has the role's rights, or a scope that is for administration only.
    #[must_use]
    pub fn is_administrator(&self) -> bool {
        ADMINISTRATIVE.iter().any(|scope| self.may(scope))
    }

    /// Whether other principals' agents and documents are invisible to this one: a plain user
    /// without an explicit permission on agents.
    #[must_use]
    pub fn sees_only_own(&self) -> bool {
        self.effective_roles().all(|role| role == Role::User)
            && !self.permissions.iter().any(|scope| scope.as_str() == "*" || scope.as_str().starts_with("agents:"))
    }

    /// A credential without roles and permissions is a user's.
    fn effective_roles(&self) -> impl Iterator<Item = Role> {
        let fallback = self.roles.is_empty().then_some(Role::User);
        self.roles.iter().copied().chain(fallback)
    }
}

#[cfg(test)]
mod tests {
    use super::{Principal, Role, Scope};

    fn principal(roles: &[Role], permissions: &[&str]) -> Principal {
        Principal {
            id: "k".into(),
            client_id: "k".into(),
            roles: roles.iter().copied().collect(),
            permissions: permissions.iter().map(|p| p.parse().unwrap()).collect(),
        }
    }

    #[test]
    fn write_includes_read_but_not_delete() {
        let scope: Scope = "agents:write".parse().unwrap();
        assert!(scope.grants("agents:read") && scope.grants("agents:write"));
        assert!(!scope.grants("agents:delete") && !scope.grants("skills:read"));
    }

    #[test]
    fn singular_families_are_read_as_plural() {
        assert_eq!("task:read".parse::<Scope>().unwrap().as_str(), "tasks:read");
    }

    #[test]
    fn unknown_scopes_are_refused() {
        for text in ["not a scope", "agents:fly", "ghosts:read", "", ":", "agents:"] {
            assert!(text.parse::<Scope>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_scope_of_somebody_elses_grants_nothing() {
        let caller =
            Principal { permissions: vec![Scope::from("agents:fly".to_owned())], ..principal(&[Role::Admin], &[]) };
        assert!(!caller.may("agents:read") && !caller.may("*"));
    }

    #[test]
    fn permissions_replace_what_the_roles_give() {
        let caller = principal(&[Role::Service], &["agents:read"]);
        assert!(caller.may("agents:read") && !caller.may("agents:write"));
    }

    #[test]
    fn what_a_principal_holds_can_be_spelled_out() {
        let texts =
            |principal: &Principal| principal.scopes().iter().map(|s| s.as_str().to_owned()).collect::<Vec<_>>();
        assert_eq!(texts(&principal(&[Role::Service], &["agents:read"])), ["agents:read"]);
        assert_eq!(texts(&principal(&[Role::Admin], &[])), ["*"]);
        assert_eq!(texts(&principal(&[], &[])), Role::User.scopes());
        assert_eq!(texts(&principal(&[Role::Service, Role::User], &[])), Role::Service.scopes());
    }

    #[test]
    fn a_service_holds_no_administrative_scope() {
        let caller = principal(&[Role::Service], &[]);
        assert!(caller.may("tasks:execute"));
        assert!(!caller.may("keys:manage") && !caller.may("audit:read"));
    }

    #[test]
    fn of_the_native_door_a_service_holds_all_but_users_and_system_and_a_user_reads_three_families() {
        let service = principal(&[Role::Service], &[]);
        let user = principal(&[Role::User], &[]);
        let reads = ["templates:read", "registry:read"];
        let more = [
            "templates:write",
            "registry:write",
            "secrets:manage",
            "observability:read",
            "observability:write",
            "integration:write",
            "workflows:execute",
            "webhooks:manage",
        ];
        for scope in reads {
            assert!(service.may(scope) && user.may(scope), "{scope}");
        }
        for scope in more {
            assert!(service.may(scope) && !user.may(scope), "{scope}");
        }
        for scope in ["users:manage", "system:admin"] {
            assert!(!service.may(scope) && !user.may(scope) && principal(&[Role::Admin], &[]).may(scope), "{scope}");
        }
    }

    #[test]
    fn the_scopes_in_force_are_those_of_the_permissions_else_of_the_roles() {
        let texts = |principal: &Principal| principal.scopes().iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(texts(&principal(&[Role::User, Role::Admin], &[])), ["*"]);
        assert_eq!(texts(&principal(&[Role::Admin], &["agents:read", "agents:read"])), ["agents:read"]);
        let user = texts(&principal(&[], &[]));
        assert!(user.contains(&"chat:write".to_owned()) && !user.contains(&"workflows:read".to_owned()));
        let both = texts(&principal(&[Role::Service, Role::User], &[]));
        assert_eq!(both.len(), Role::Service.scopes().len());
    }

    #[test]
    fn a_credential_without_rights_is_a_user() {
        let caller = principal(&[], &[]);
        assert!(caller.may("agents:write") && !caller.may("skills:write"));
        assert!(caller.sees_only_own());
        assert!(!principal(&[], &["agents:read"]).sees_only_own());
        assert!(!principal(&[Role::Service], &[]).sees_only_own());
    }
}
