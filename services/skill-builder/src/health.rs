//! How the service is.

use std::{fmt, sync::Arc, time::Duration};

use api_client::{CallContext, ClientError, Outgoing, ServiceClient};
use api_core::{
    db,
    health::{Check, Database, Dependency, Health, Status},
};
use embedding::Kind;
use futures_util::future::BoxFuture;
use serde_json::Value;

use crate::{
    app::{App, Error},
    store::vectors,
};

const CONTROL_PLANE_TIMEOUT: Duration = Duration::from_secs(5);

pub(crate) struct SkillBuilderHealth {
    pub(crate) app: Arc<App>,
    pub(crate) database: Database,
    pub(crate) control_plane: ServiceClient,
}

impl fmt::Debug for SkillBuilderHealth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SkillBuilderHealth").field("app", &self.app).finish_non_exhaustive()
    }
}

impl Health for SkillBuilderHealth {
    fn dependencies(&self) -> BoxFuture<'_, Vec<Dependency>> {
        Box::pin(async {
            let (database, taxonomy, control_plane) =
                tokio::join!(self.database.dependency(), self.taxonomy(), self.control_plane());
            vec![database, taxonomy, self.embedding(), self.model(), control_plane]
        })
    }

    fn checks(&self) -> BoxFuture<'_, Vec<Check>> {
        Box::pin(async {
            let mut checks = self.database.checks().await;
            let taxonomy = self.app.taxonomy().await;
            let note = match &taxonomy {
                Ok(taxonomy) => taxonomy.row.title(),
                Err(_) => "none is in place yet".to_owned(),
            };
            checks.push(Check { name: "taxonomy", ok: taxonomy.is_ok(), note });
            let embedder = &self.app.embedder;
            let note = match embedder.kind() {
                Kind::Lexical => format!("{}: a lexical fallback, finds shared words only", embedder.model()),
                Kind::MiniLm | Kind::Remote => embedder.model().to_owned(),
            };
            checks.push(Check { name: "embedding", ok: true, note });
            checks
        })
    }
}

impl SkillBuilderHealth {
    async fn taxonomy(&self) -> Dependency {
        match self.progress().await {
            Ok(dependency) => dependency,
            Err(Error::Db(error)) if error.is_connection_loss() => Dependency::new("taxonomy", Status::Unreachable),
            Err(_) => Dependency::new("taxonomy", Status::Unhealthy),
        }
    }

    /// The taxonomy, and how far the vectors of its labels and skills have come.
    async fn progress(&self) -> Result<Dependency, Error> {
        let taxonomy = self.app.taxonomy().await?;
        let (id, model) = (taxonomy.row.id, self.app.embedder.model().to_owned());
        let progress = self.app.db.run::<_, db::Error>(move |conn| Ok(vectors::progress(conn, id, &model)?)).await?;
        Ok(Dependency::new("taxonomy", Status::Healthy)
            .with("name", taxonomy.row.name.clone())
            .with("version", taxonomy.row.version.clone())
            .with("labels", progress.labels)
            .with("labels_embedded", progress.labels_done)
            .with("skills", progress.skills)
            .with("skills_embedded", progress.skills_done))
    }

    fn embedding(&self) -> Dependency {
        let embedder = &self.app.embedder;
        Dependency::new("embedding", Status::Healthy)
            .with("model", embedder.model())
            .with("kind", embedder.kind().as_str())
    }

    fn model(&self) -> Dependency {
        let model = &self.app.model;
        Dependency::new("model", Status::Healthy).with("provider", model.provider()).with("model", model.name())
    }

    async fn control_plane(&self) -> Dependency {
        let call = Outgoing::get("/health").within(CONTROL_PLANE_TIMEOUT);
        let status = match self.control_plane.send::<Value>(&CallContext::background(), &call).await {
            Ok(_) => Status::Healthy,
            Err(ClientError::Api { .. } | ClientError::Protocol { .. }) => Status::Unhealthy,
            Err(_) => Status::Unreachable,
        };
        Dependency::new("controlplane", status).dispensable()
    }
}
