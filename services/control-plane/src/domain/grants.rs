//! What a caller may give away: nothing that it does not have itself.

use api_types::auth::{Principal, Role, Scope};

/// Why a key cannot be made like this.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    #[error("The role 'admin' cannot be granted")]
    Administrator,
    #[error("The role '{0}' goes beyond your own rights")]
    Role(Role),
    #[error("The permission '{0}' goes beyond your own rights")]
    Scope(String),
    #[error("The client '{0}' is not yours")]
    Client(String),
}

/// Checks that `granter` may make a key with these roles and permissions, for this client.
///
/// Permissions replace what the roles give, so beside permissions a role gives nothing away; `admin` does in any case.
pub(crate) fn check(
    granter: &Principal,
    roles: &[Role],
    permissions: &[Scope],
    client_id: Option<&str>,
) -> Result<(), Refused> {
    if roles.contains(&Role::Admin) {
        return Err(Refused::Administrator);
    }
    check_scopes(granter, permissions)?;
    if permissions.is_empty() {
        // A key without any rights of its own has those of a user.
        let effective = if roles.is_empty() { &[Role::User] } else { roles };
        if let Some(role) = effective.iter().find(|role| !role.scopes().iter().all(|scope| granter.may(scope))) {
            return Err(Refused::Role(*role));
        }
    }
    match client_id {
        // A key acts for its client, so one for another client would reach that client's things.
        Some(client) if client != granter.client_id && !granter.may("*") => Err(Refused::Client(client.to_owned())),
        _ => Ok(()),
    }
}

/// Checks that `granter` holds every one of these scopes itself.
pub(crate) fn check_scopes(granter: &Principal, scopes: &[Scope]) -> Result<(), Refused> {
    match scopes.iter().find(|scope| !granter.may(scope.as_str())) {
        Some(scope) => Err(Refused::Scope(scope.as_str().to_owned())),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use api_types::auth::{Principal, Role, Scope};

    use super::{Refused, check};

    fn granter(roles: &[Role], permissions: &[&str]) -> Principal {
        Principal {
            id: "k_granter".into(),
            client_id: "mine".into(),
            roles: roles.iter().copied().collect(),
            permissions: scopes(permissions),
        }
    }

    fn scopes(texts: &[&str]) -> Vec<Scope> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn an_administrator_grants_everything_but_its_own_role() {
        let admin = granter(&[Role::Admin], &[]);
        for roles in [&[Role::Service][..], &[Role::User], &[Role::Service, Role::User], &[]] {
            assert_eq!(check(&admin, roles, &[], Some("any")), Ok(()));
        }
        assert_eq!(check(&admin, &[Role::Service], &scopes(&["*", "keys:manage"]), None), Ok(()));
        assert_eq!(check(&admin, &[Role::Admin], &[], None), Err(Refused::Administrator));
        assert_eq!(
            check(&admin, &[Role::User, Role::Admin], &scopes(&["agents:read"]), None),
            Err(Refused::Administrator)
        );
    }

    #[test]
    fn a_permission_must_be_the_granters_own() {
        let some = granter(&[Role::Service], &["keys:manage", "agents:write"]);
        assert_eq!(check(&some, &[Role::Service], &scopes(&["agents:read", "keys:manage"]), None), Ok(()));
        for beyond in ["skills:read", "agents:delete", "agents:*", "*", "audit:read"] {
            let refused = check(&some, &[Role::Service], &scopes(&["agents:read", beyond]), None);
            assert_eq!(refused, Err(Refused::Scope(beyond.to_owned())));
        }
    }

    #[test]
    fn a_role_without_permissions_must_give_no_more_than_the_granter_has() {
        let service = granter(&[Role::Service], &[]);
        assert_eq!(check(&service, &[Role::Service], &[], None), Ok(()));
        assert_eq!(check(&service, &[Role::User], &[], None), Ok(()));
        let manager = granter(&[Role::Service], &["keys:manage"]);
        assert_eq!(check(&manager, &[Role::Service], &[], None), Err(Refused::Role(Role::Service)));
        assert_eq!(check(&manager, &[Role::Service], &scopes(&["keys:manage"]), None), Ok(()));
    }

    #[test]
    fn a_key_without_roles_is_a_users() {
        let manager = granter(&[Role::Service], &["keys:manage"]);
        assert_eq!(check(&manager, &[], &[], None), Err(Refused::Role(Role::User)));
    }

    #[test]
    fn another_clients_key_is_made_by_holders_of_everything_alone() {
        let service = granter(&[Role::Service], &[]);
        assert_eq!(check(&service, &[Role::Service], &[], Some("mine")), Ok(()));
        let refused = check(&service, &[Role::Service], &[], Some("theirs"));
        assert_eq!(refused, Err(Refused::Client("theirs".to_owned())));
        assert_eq!(check(&granter(&[], &["*"]), &[Role::Service], &[], Some("theirs")), Ok(()));
    }
}
