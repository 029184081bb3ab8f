//! The services that have a schema. A new one is a folder of migrations and a line here.

use std::{fmt, str::FromStr};

use diesel::{
    migration::{Migration, MigrationSource},
    pg::Pg,
};
use diesel_migrations::{EmbeddedMigrations, embed_migrations};

use crate::Error;

/// What every service has; in its own schema, before its own tables.
const COMMON: EmbeddedMigrations = embed_migrations!("common");

macro_rules! services {
    ($($variant:ident: $name:tt, $schema:literal;)+) => {
        /// A service with a schema of its own.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Service {
            $(#[doc = $name] $variant,)+
        }

        impl Service {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The service's name, which is also that of its folder, such as `agent-builder`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// The schema that holds its tables, such as `agent_builder`.
            #[must_use]
            pub const fn schema(self) -> &'static str {
                match self { $(Self::$variant => $schema,)+ }
            }

            /// The role that owns its tables, such as `imago_agent_builder`. Roles belong to the whole server, hence the prefix.
            #[must_use]
            pub const fn role(self) -> &'static str {
                match self { $(Self::$variant => concat!("imago_", $schema),)+ }
            }

            const fn own_migrations(self) -> EmbeddedMigrations {
                match self {
                    $(Self::$variant => {
                        const EMBEDDED: EmbeddedMigrations = embed_migrations!($name);
                        EMBEDDED
                    })+
                }
            }
        }
    };
}

services! {
    AgentBuilder: "agent-builder", "agent_builder";
    SkillBuilder: "skill-builder", "skill_builder";
    KnowledgeBuilder: "knowledge-builder", "knowledge_builder";
    ControlPlane: "control-plane", "control_plane";
    TaskRouter: "task-router", "task_router";
}

impl Service {
    /// All that its schema consists of.
    #[must_use]
    pub const fn migrations(self) -> Migrations {
        Migrations(self)
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Service {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::ALL
            .iter()
            .copied()
            .find(|service| service.name() == text)
            .ok_or_else(|| Error::UnknownService(text.into()))
    }
}

/// The migrations of one service, the common ones included.
#[derive(Clone, Copy, Debug)]
pub struct Migrations(Service);

impl MigrationSource<Pg> for Migrations {
    fn migrations(&self) -> diesel::migration::Result<Vec<Box<dyn Migration<Pg>>>> {
        let mut all = MigrationSource::<Pg>::migrations(&COMMON)?;
        all.extend(MigrationSource::<Pg>::migrations(&self.0.own_migrations())?);
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn versions(source: &impl MigrationSource<Pg>) -> Vec<String> {
        source.migrations().unwrap().iter().map(|migration| migration.name().version().to_string()).collect()
    }

    #[test]
    fn names_lead_back_to_their_services() {
        for service in Service::ALL {
            assert_eq!(service.name().parse::<Service>().unwrap(), *service);
            assert_eq!(service.name().replace('-', "_"), service.schema());
        }
        assert!("chatter".parse::<Service>().is_err());
    }

    #[test]
    fn common_migrations_come_first_and_no_number_is_used_twice() {
        for service in Service::ALL {
            // The number decides the order, and one that is used twice would run only once.
            let all = versions(&service.migrations());
            let mut sorted = all.clone();
            sorted.sort();
            sorted.dedup();
            assert_eq!(all, sorted, "{service}");
        }
    }
}
