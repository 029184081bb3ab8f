//! Whose rows are whose: a stranger's credential at every route that takes an id.
//!
//! The table names each such route of the OpenAPI document once. A route that is missing from it fails the test, so
//! whoever adds one says here what a stranger gets.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};

use crate::stack::Stack;

/// What a stranger gets.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Stranger {
    /// As if there were nothing of that name.
    Absent,
    /// The id is taken, and no more is said of by whom.
    Taken,
    /// Nobody holds the task: what a worker must be told that lost it, and so everybody is.
    NotHeld,
    /// The scopes of the contract's role do not go so far.
    NotAllowed,
    /// The route shows what is everybody's; why.
    Shared(&'static str),
}
use Stranger::{Absent, NotAllowed, NotHeld, Shared, Taken};

/// A kind of row, made by its owner.
struct Kind {
    /// The row as its owner reads it, with ids in place.
    row: fn(&Stack, &People) -> String,
    /// Who asks for it.
    stranger: fn(&People) -> &str,
    routes: &'static [(&'static str, &'static str, Stranger)],
}

/// Those who take part, by their keys.
struct People {
    /// Role `user`, so what it makes is its own alone.
    owner: String,
    /// Another of the same role.
    user: String,
    /// Manages keys and webhooks of one client.
    manager: String,
    /// The same for another client.
    other_manager: String,
}

impl People {
    fn new(stack: &Stack) -> Self {
        let user = json!({"name": "user", "roles": ["user"]});
        let manager = |client: &str| json!({"name": client, "client_id": client, "permissions": MANAGES});
        Self {
            owner: key(stack, &user),
            user: key(stack, &user),
            manager: key(stack, &manager("harbour")),
            other_manager: key(stack, &manager("lighthouse")),
        }
    }
}

fn key(stack: &Stack, body: &Value) -> String {
    let (status, made) = stack.send(Method::POST, "/api/v1/auth/keys", Some(body));
    assert_eq!(status, 201, "{made}");
    made["data"]["token"].as_str().unwrap().to_owned()
}

/// Makes something as `token`, and returns the text at `pointer` of the answer.
fn make(stack: &Stack, token: &str, path: &str, body: &Value, pointer: &str) -> String {
    let (status, made) = stack.send_as(token, Method::POST, path, Some(body));
    assert_eq!(status, 201, "{path}: {made}");
    made.pointer(pointer).and_then(Value::as_str).unwrap_or_else(|| panic!("{pointer} of {made}")).to_owned()
}

/// What a manager may.
const MANAGES: [&str; 6] =
    ["keys:manage", "webhooks:manage", "agents:write", "tasks:read", "tasks:write", "tasks:execute"];
const POOL: &str = "workers are one pool for all clients";
const READING: &str = "skills and knowledge are one library for all who may read it";

/// One entry for every kind of row that a path can name.
static TABLE: &[Kind] = &[
    Kind {
        row: |stack, people| {
            let body = json!({
                "agent_id": "mine", "role_model": {"name": "Ada Lovelace", "occupation": "Mathematician"}, "sources": [],
            });
            let id = make(stack, &people.owner, "/api/v1/agents", &body, "/data/agent_id");
            format!("/api/v1/agents/{id}")
        },
        stranger: |people| &people.user,
        routes: &[
            ("GET", "/api/v1/agents/{agent_id}", Absent),
            ("PATCH", "/api/v1/agents/{agent_id}", Absent),
            ("PUT", "/api/v1/agents/{agent_id}", Taken),
            ("DELETE", "/api/v1/agents/{agent_id}", Absent),
            ("GET", "/api/v1/agents/{agent_id}/capabilities", Absent),
            ("POST", "/api/v1/agents/{agent_id}/build", Absent),
        ],
    },
    Kind {
        row: |stack, _| {
            let body = json!({"title": "Gazette", "text": "The tide clock of Port Salter was mended in 1901."});
            let (status, made) = stack.send(Method::POST, "/api/v1/knowledge/documents", Some(&body));
            assert_eq!(status, 201, "{made}");
            format!("/api/v1/knowledge/documents/{}", made["data"]["document_id"].as_str().unwrap())
        },
        stranger: |people| &people.user,
        routes: &[
            ("GET", "/api/v1/knowledge/documents/{document_id}", Absent),
            ("DELETE", "/api/v1/knowledge/documents/{document_id}", NotAllowed),
        ],
    },
    Kind {
        row: |stack, _| {
            let body = json!({"occupation": "Mathematician"});
            let (status, made) = stack.send(Method::POST, "/api/v1/skills", Some(&body));
            assert_eq!(status, 201, "{made}");
            format!("/api/v1/skills/{}", made["data"]["skill_id"].as_str().unwrap())
        },
        stranger: |people| &people.user,
        routes: &[
            ("GET", "/api/v1/skills/{skill_id}", Shared(READING)),
            ("PATCH", "/api/v1/skills/{skill_id}", NotAllowed),
            ("PUT", "/api/v1/skills/{skill_id}", NotAllowed),
            ("DELETE", "/api/v1/skills/{skill_id}", NotAllowed),
        ],
    },
    Kind {
        row: |_, _| "/api/v1/skills/modes/balanced".to_owned(),
        stranger: |people| &people.user,
        routes: &[("GET", "/api/v1/skills/modes/{mode_id}", Shared("modes are built in"))],
    },
    Kind {
        row: |stack, _| {
            let body = json!({"identifier": "Ada Lovelace", "sources": []});
            let (status, made) = stack.send(Method::POST, "/api/v1/knowledge", Some(&body));
            assert_eq!(status, 201, "{made}");
            format!("/api/v1/knowledge/{}", made["data"]["knowledge_id"].as_str().unwrap())
        },
        stranger: |people| &people.user,
        routes: &[
            ("GET", "/api/v1/knowledge/{knowledge_id}", Shared(READING)),
            ("PATCH", "/api/v1/knowledge/{knowledge_id}", NotAllowed),
            ("PUT", "/api/v1/knowledge/{knowledge_id}", NotAllowed),
            ("DELETE", "/api/v1/knowledge/{knowledge_id}", NotAllowed),
        ],
    },
    Kind {
        row: |_, _| "/api/v1/knowledge/entities/Ada%20Lovelace".to_owned(),
        stranger: |people| &people.user,
        routes: &[("GET", "/api/v1/knowledge/entities/{entity_id}", Shared(READING))],
    },
    Kind {
        row: |stack, people| {
            let body = json!({"name": "mine", "permissions": ["agents:read"], "client_id": "harbour"});
            let id = make(stack, &people.manager, "/api/v1/auth/keys", &body, "/data/key/id");
            format!("/api/v1/auth/keys/{id}")
        },
        stranger: |people| &people.other_manager,
        routes: &[
            ("GET", "/api/v1/auth/keys/{id}", Absent),
            ("DELETE", "/api/v1/auth/keys/{id}", Absent),
            ("POST", "/api/v1/auth/keys/{id}/rotate", Absent),
        ],
    },
    Kind {
        row: |stack, _| {
            let body = json!({
                "username": "ada", "email": "ada@example.com", "full_name": "Ada Lovelace", "password": "Correct-Horse-7",
            });
            let (status, made) = stack.send(Method::POST, "/api/v1/auth/register", Some(&body));
            assert_eq!(status, 201, "{made}");
            format!("/api/v1/auth/users/{}", made["data"]["id"].as_str().unwrap())
        },
        stranger: |people| &people.other_manager,
        routes: &[
            ("GET", "/api/v1/auth/users/{user_id}", NotAllowed),
            ("PUT", "/api/v1/auth/users/{user_id}", NotAllowed),
        ],
    },
    Kind {
        row: |stack, people| {
            let body = json!({"name": "mine", "scopes": ["agents:read"], "client_id": "harbour"});
            let id = make(stack, &people.manager, "/ains/api-keys", &body, "/key_id");
            format!("/ains/api-keys/{id}")
        },
        stranger: |people| &people.other_manager,
        routes: &[
            ("GET", "/ains/api-keys/{key_id}", Absent),
            ("PATCH", "/ains/api-keys/{key_id}", Absent),
            ("DELETE", "/ains/api-keys/{key_id}", Absent),
            ("POST", "/ains/api-keys/{key_id}/rotate", Absent),
            ("GET", "/ains/api-keys/{key_id}/usage", Absent),
        ],
    },
    Kind {
        row: |stack, people| {
            let body = json!({"client_id": "harbour", "url": "https://hooks.example/in", "events": ["task.created"]});
            let id = make(stack, &people.manager, "/ains/webhooks", &body, "/webhook_id");
            format!("/ains/webhooks/{id}")
        },
        stranger: |people| &people.other_manager,
        routes: &[
            ("GET", "/ains/webhooks/{webhook_id}", Absent),
            ("PATCH", "/ains/webhooks/{webhook_id}", Absent),
            ("DELETE", "/ains/webhooks/{webhook_id}", Absent),
            ("GET", "/ains/webhooks/{webhook_id}/deliveries", Absent),
            ("POST", "/ains/webhooks/{webhook_id}/deliveries/{delivery_id}/redeliver", Absent),
        ],
    },
    Kind {
        row: |stack, people| {
            let body = json!({"url": "https://hooks.example/in", "events": ["agent.*"]});
            let id = make(stack, &people.manager, "/api/v1/integration/webhook", &body, "/data/id");
            format!("/api/v1/integration/webhooks/{id}")
        },
        // Whoever manages webhooks on this door manages all of them.
        stranger: |people| &people.user,
        routes: &[
            ("GET", "/api/v1/integration/webhooks/{webhook_id}", NotAllowed),
            ("PUT", "/api/v1/integration/webhooks/{webhook_id}", NotAllowed),
            ("DELETE", "/api/v1/integration/webhooks/{webhook_id}", NotAllowed),
            ("GET", "/api/v1/integration/webhooks/{webhook_id}/deliveries", NotAllowed),
            ("POST", "/api/v1/integration/webhooks/{webhook_id}/deliveries/{delivery_id}/redeliver", NotAllowed),
            ("POST", "/api/v1/integration/webhooks/{webhook_id}/test", NotAllowed),
        ],
    },
    Kind {
        row: |stack, people| {
            let body = worker_body();
            let id = make(stack, &people.manager, "/ains/agents", &body, "/agent_id");
            format!("/ains/agents/{id}")
        },
        stranger: |people| &people.other_manager,
        routes: &[
            ("GET", "/ains/agents/{agent_id}", Shared(POOL)),
            ("PATCH", "/ains/agents/{agent_id}", NotAllowed),
            ("DELETE", "/ains/agents/{agent_id}", NotAllowed),
            ("POST", "/ains/agents/{agent_id}/heartbeat", NotAllowed),
            ("GET", "/ains/agents/{agent_id}/trust", Shared(POOL)),
            ("GET", "/ains/agents/{agent_id}/trust/history", Shared(POOL)),
            ("POST", "/ains/agents/{agent_id}/trust/adjust", NotAllowed),
        ],
    },
    Kind {
        row: |stack, people| {
            let body = task_body();
            let id = make(stack, &people.manager, "/ains/tasks", &body, "/task_id");
            format!("/ains/tasks/{id}")
        },
        stranger: |people| &people.other_manager,
        routes: &[
            ("GET", "/ains/tasks/{task_id}", Absent),
            ("PATCH", "/ains/tasks/{task_id}", NotHeld),
            ("PUT", "/ains/tasks/{task_id}", NotHeld),
            ("PUT", "/ains/tasks/{task_id}/status", NotHeld),
            ("PATCH", "/ains/tasks/{task_id}/status", NotHeld),
            ("POST", "/ains/tasks/{task_id}/cancel", Absent),
            ("PATCH", "/ains/tasks/{task_id}/priority", Absent),
            ("GET", "/ains/tasks/{task_id}/dependencies", Absent),
            ("GET", "/ains/tasks/{task_id}/dependents", Absent),
        ],
    },
    Kind {
        row: |stack, people| {
            let body = task_body();
            let id = make(stack, &people.manager, "/aitp/tasks", &body, "/task_id");
            format!("/aitp/tasks/{id}")
        },
        stranger: |people| &people.other_manager,
        routes: &[
            ("GET", "/aitp/tasks/{task_id}", Absent),
            ("PUT", "/aitp/tasks/{task_id}/status", NotHeld),
            ("DELETE", "/aitp/tasks/{task_id}", Absent),
        ],
    },
];

/// A worker of the client `harbour`'s.
fn worker_body() -> Value {
    json!({
        "agent_id": "crane", "display_name": "Crane", "public_key": "none", "signature": "none", "delivery": "pull",
        "endpoint": "https://crane.example/tasks", "tags": ["lift:v1"],
    })
}

/// A task of the same client's that nobody takes.
fn task_body() -> Value {
    json!({"client_id": "harbour", "task_type": "lift", "capability_required": "unload:v1", "input_data": {}})
}

/// A body with which the owner's request would go through, or nearly so.
fn body_for(method: &str, template: &str) -> Option<Value> {
    match (method, template) {
        ("PUT", "/api/v1/agents/{agent_id}") => {
            Some(json!({"role_model": {"name": "Eve", "occupation": "Locksmith"}, "sources": []}))
        }
        ("PATCH", "/api/v1/agents/{agent_id}") => Some(json!({"metadata": {"stolen": true}})),
        ("PUT", "/api/v1/auth/users/{user_id}") => Some(json!({"role": "admin", "password": "Better-Horse-8"})),
        ("PATCH", "/ains/agents/{agent_id}") => Some(json!({"display_name": "Mine"})),
        ("POST", "/ains/agents/{agent_id}/trust/adjust") => Some(json!({"delta": 0.5, "reason": "Because"})),
        ("PATCH", "/ains/tasks/{task_id}/priority") => Some(json!({"priority": 1})),
        (
            "PATCH" | "PUT",
            "/ains/tasks/{task_id}" | "/ains/tasks/{task_id}/status" | "/aitp/tasks/{task_id}/status",
        ) => Some(json!({"status": "COMPLETED"})),
        ("PATCH", "/ains/webhooks/{webhook_id}") => Some(json!({"active": false})),
        ("PATCH", "/ains/api-keys/{key_id}") => Some(json!({"name": "taken over"})),
        ("GET" | "DELETE", _) => None,
        _ => Some(json!({})),
    }
}

/// The paths with an id in them, as the stack's own document lists them.
fn documented(stack: &Stack) -> BTreeSet<(String, String)> {
    let (_, document) = stack.get("/api/v1/openapi.json");
    let mut routes = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        if path.contains('{') {
            routes.extend(item.as_object().unwrap().keys().map(|method| (method.to_uppercase(), path.clone())));
        }
    }
    routes
}

/// The path of a route about the row at `row`, whose template is the first route's.
fn path_of(kind: &Kind, row: &str, template: &str) -> String {
    let (_, whole, _) = kind.routes[0];
    let rest = template.strip_prefix(whole).unwrap_or_else(|| panic!("{template} is not below {whole}"));
    // Further ids name nothing: a stranger must not even learn that.
    format!("{row}{}", rest.replace(['{', '}'], ""))
}

/// The row in an answer, whatever its door.
fn shown(answer: &Value) -> &Value {
    answer.get("data").unwrap_or(answer)
}

#[test]
fn a_strangers_credential_gets_nowhere() {
    let stack = Stack::start();
    let listed: BTreeSet<(String, String)> = TABLE
        .iter()
        .flat_map(|kind| kind.routes.iter().map(|(method, path, _)| ((*method).to_owned(), (*path).to_owned())))
        .collect();
    let documented = documented(&stack);
    let missing: Vec<_> = documented.difference(&listed).collect();
    assert!(missing.is_empty(), "not in the table: {missing:?}");
    let gone: Vec<_> = listed.difference(&documented).collect();
    assert!(gone.is_empty(), "in the table and nowhere else: {gone:?}");

    let people = People::new(&stack);
    let mut wrong = Vec::new();
    for kind in TABLE {
        let row = (kind.row)(&stack, &people);
        let before = stack.get(&row);
        assert_eq!(before.0, 200, "{row}: {}", before.1);
        for (method, template, expected) in kind.routes {
            let path = path_of(kind, &row, template);
            let body = body_for(method, template);
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            let (status, answer) = stack.send_as((kind.stranger)(&people), method.clone(), &path, body.as_ref());
            let wanted: &[u16] = match expected {
                Absent => &[404],
                Taken | NotHeld => &[409],
                NotAllowed => &[403],
                Shared(_) => &[200],
            };
            if !wanted.contains(&status) {
                wrong.push(format!("{method} {path}: {status} instead of {expected:?}: {answer}"));
            }
        }
        let after = stack.get(&row);
        if after.0 != 200 || shown(&after.1) != shown(&before.1) {
            wrong.push(format!("{row} was changed: {}", after.1));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
