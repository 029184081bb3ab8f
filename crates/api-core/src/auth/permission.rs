//! Permissions as types: a handler says what it needs in its argument list, so none can forget it.

/// What a handler needs of its caller.
pub trait Permission: 'static {
    /// Any one of these is enough; empty means that any identified caller may.
    const ANY_OF: &'static [&'static str];
    /// Only our own services may call; to everyone else the route does not exist.
    const SERVICE_ONLY: bool = false;
    /// The largest body that the handler takes.
    const BODY: BodyLimit = BodyLimit::Json;
    /// A door that the operator may leave open (`AUTH_OPEN_DOORS`).
    const DOOR: Option<&'static str> = None;
    /// Everybody may call, and no credential is looked at: the route has its own way to tell friend from foe.
    const OPEN: bool = false;
    /// Everybody may call; a credential is checked where there is one, and without any the caller is nobody.
    const OPTIONAL: bool = false;
    /// The route is an administrator's although no scope says so (those with administrative scopes are in any case).
    const ADMINISTRATIVE: bool = false;
}

/// Which of the configured body limits holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyLimit {
    /// `MAX_BODY_BYTES`; `AINS_MAX_BODY_BYTES` on that door.
    Json,
    /// A batch on the AINS door: 32 MiB.
    AinsBatch,
    /// `MAX_DOCUMENT_BYTES` plus a third for base64, plus room for the fields beside it.
    Document,
}

macro_rules! permissions {
    ($($(#[$doc:meta])* $name:ident = [$($scope:literal),*] $({ $($rest:tt)* })?;)+) => {
        $(
            $(#[$doc])*
            #[derive(Debug)]
            pub struct $name;
            impl Permission for $name {
                const ANY_OF: &'static [&'static str] = &[$($scope),*];
                $($($rest)*)?
            }
        )+
    };
}

permissions! {
    AgentsRead = ["agents:read"];
    AgentsWrite = ["agents:write"];
    AgentsDelete = ["agents:write", "agents:delete"];
    SkillsRead = ["skills:read"];
    SkillsWrite = ["skills:write"];
    KnowledgeRead = ["knowledge:read"];
    KnowledgeWrite = ["knowledge:write"];
    /// Uploads: a larger body.
    DocumentsWrite = ["knowledge:write"] { const BODY: BodyLimit = BodyLimit::Document; };
    AuditRead = ["audit:read"];
    ObservabilityRead = ["observability:read"];
    ObservabilityWrite = ["observability:write"];
    KeysManage = ["keys:manage"];
    WebhooksManage = ["webhooks:manage"];
    UsersManage = ["users:manage"];
    /// Every identified caller.
    Anybody = [];
    /// Name and password, or a refresh token, in the body.
    SignIn = [] { const OPEN: bool = true; };
    /// Whoever may, decides the configuration.
    Register = [] { const OPTIONAL: bool = true; };
    /// The way to the first key, which asks for a token of its own.
    Bootstrap = [] { const OPEN: bool = true; const ADMINISTRATIVE: bool = true; };
    LegacyAgentsWrite = ["agents:write"] { const DOOR: Option<&'static str> = Some("legacy"); };
    LegacySkillsWrite = ["skills:write"] { const DOOR: Option<&'static str> = Some("legacy"); };
    LegacyKnowledgeWrite = ["knowledge:write"] { const DOOR: Option<&'static str> = Some("legacy"); };
    /// Internal routes: their bodies hold whole texts that were checked before.
    ServiceOnly = [] {
        const SERVICE_ONLY: bool = true;
        const BODY: BodyLimit = BodyLimit::Document;
    };
}
