//! Whether the service is well.

use std::{sync::Arc, time::Duration};

use api_core::{
    health::{self, Check, Database, Dependency, Status},
    platform::Platform,
};
use embedding::Kind;
use futures_util::future::{BoxFuture, join};

use crate::app::App;

/// How long a neighbour may take to say that it is there.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(crate) struct Health {
    pub(crate) app: Arc<App>,
    pub(crate) database: Database,
    pub(crate) platform: Arc<Platform>,
}

impl health::Health for Health {
    fn dependencies(&self) -> BoxFuture<'_, Vec<Dependency>> {
        Box::pin(async {
            let embedding = Dependency::new("embedding", Status::Healthy).with("model", self.app.embedder.model());
            let (database, control_plane) = join(self.database.dependency(), self.control_plane()).await;
            vec![database, embedding, control_plane]
        })
    }

    fn checks(&self) -> BoxFuture<'_, Vec<Check>> {
        Box::pin(async {
            let mut checks = self.database.checks().await;
            let embedder = &self.app.embedder;
            let note = match embedder.kind() {
                Kind::Lexical => "lexical fallback: finds shared words, not shared meaning".to_owned(),
                Kind::MiniLm | Kind::Remote => embedder.model().to_owned(),
            };
            checks.push(Check { name: "embedding", ok: true, note });
            checks
        })
    }
}

impl Health {
    async fn control_plane(&self) -> Dependency {
        let url = format!("{}/health", self.platform.core.control_plane_url.trim_end_matches('/'));
        let answer = self.platform.http().get(url).timeout(PATIENCE).send().await;
        let status = match answer {
            Ok(answer) if answer.status().is_success() => Status::Healthy,
            Ok(_) => Status::Unhealthy,
            Err(_) => Status::Unreachable,
        };
        Dependency::new("controlplane", status).dispensable()
    }
}
