//! What a listener knows of its routes.

use std::collections::HashMap;

use actix_web::{dev::ResourceDef, http::Method};
use utoipa::openapi::{OpenApi, PathItem};

use crate::service::Service;

/// The routes of a listener's services: to tell a wrong method from a wrong path, and which service a route is of.
pub(super) struct Front {
    pub(super) label: &'static str,
    pub(super) services: Vec<Service>,
    /// Theirs: a call of a service names the one that it is for.
    pub(super) names: Vec<&'static str>,
    pub(super) openapi: OpenApi,
    /// Of the routes for our own services, where they are served.
    pub(super) internal_openapi: OpenApi,
    resources: Vec<Resource>,
    service_of: HashMap<String, &'static str>,
}

struct Resource {
    definition: ResourceDef,
    methods: Vec<&'static str>,
}

impl Front {
    /// `pages` are the paths that are read with GET beside the services' own; only they are served when `pages_only`.
    pub(super) fn new(label: &'static str, services: &[Service], pages: &[&str], pages_only: bool) -> Self {
        let mut documents = services.iter().map(|service| service.openapi.clone());
        let mut openapi = documents.next().unwrap_or_default();
        for document in documents {
            openapi.merge(document);
        }
        if services.len() > 1 {
            "Imago".clone_into(&mut openapi.info.title);
        }
        let mut service_of = HashMap::new();
        for service in services {
            service_of.extend(service.openapi.paths.paths.keys().map(|path| (path.clone(), service.label)));
        }
        let resource = |path: &str, methods| Resource { definition: ResourceDef::new(path), methods };
        let mut resources: Vec<Resource> = pages.iter().map(|path| resource(path, vec!["GET"])).collect();
        if !pages_only {
            resources.extend(openapi.paths.paths.iter().map(|(path, item)| resource(path, methods(item))));
        }
        let names = services.iter().map(|service| service.name).collect();
        Self {
            label,
            services: services.to_vec(),
            names,
            resources,
            openapi,
            internal_openapi: OpenApi::default(),
            service_of,
        }
    }

    /// The same with the description of the internal routes.
    pub(super) fn with_internal(self, internal_openapi: OpenApi) -> Self {
        Self { internal_openapi, ..self }
    }

    /// The methods of the resource at `path`; `None` when there is no such resource.
    pub(super) fn methods_at(&self, path: &str) -> Option<Vec<&'static str>> {
        let path = if path.len() > 1 { path.trim_end_matches('/') } else { path };
        let mut found: Vec<&'static str> = self
            .resources
            .iter()
            .filter(|resource| resource.definition.is_match(path))
            .flat_map(|resource| resource.methods.iter().copied())
            .collect();
        found.sort_unstable();
        found.dedup();
        (!found.is_empty()).then_some(found)
    }

    /// The template of the resource at `path`; `None` when there is no such resource.
    pub(super) fn template_at(&self, path: &str) -> Option<&str> {
        let path = if path.len() > 1 { path.trim_end_matches('/') } else { path };
        self.resources.iter().find(|resource| resource.definition.is_match(path))?.definition.pattern()
    }

    /// The service that a route template belongs to; the listener's own name for routes of no service.
    pub(super) fn service_of(&self, template: &str) -> &'static str {
        self.service_of.get(template).copied().unwrap_or(self.label)
    }

    pub(super) fn is_slow(&self, method: &Method, path: &str) -> bool {
        let path = path.trim_end_matches('/');
        self.services.iter().any(|service| (service.is_slow)(method, path))
    }
}

fn methods(item: &PathItem) -> Vec<&'static str> {
    [
        ("GET", item.get.is_some()),
        ("POST", item.post.is_some()),
        ("PUT", item.put.is_some()),
        ("PATCH", item.patch.is_some()),
        ("DELETE", item.delete.is_some()),
    ]
    .into_iter()
    .filter_map(|(method, present)| present.then_some(method))
    .collect()
}
