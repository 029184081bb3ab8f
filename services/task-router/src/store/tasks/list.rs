//! Lists of tasks.

use api_types::ains::Window;
use chrono::{DateTime, Utc};
use diesel::{
    QueryResult, QueryableByName, RunQueryDsl as _,
    pg::Pg,
    query_builder::{BoxedSqlQuery, SqlQuery},
    sql_query,
    sql_types::{Array, BigInt, Text, Timestamptz, Uuid as SqlUuid},
};
use uuid::Uuid;

use super::{super::Conn, Row, row_columns};

/// What is asked for; `None` asks for any.
#[derive(Debug, Clone, Default)]
pub(crate) struct Filter {
    /// The client that looks, if it sees only its own.
    pub(crate) eyes: Option<String>,
    pub(crate) client_id: Option<String>,
    pub(crate) statuses: Option<Vec<String>>,
    pub(crate) task_type: Option<String>,
    pub(crate) capability_required: Option<String>,
    pub(crate) assigned_agent_id: Option<String>,
    pub(crate) chain_id: Option<Uuid>,
    pub(crate) template_id: Option<Uuid>,
    pub(crate) schedule_id: Option<Uuid>,
    pub(crate) client_ref: Option<String>,
    pub(crate) created_after: Option<DateTime<Utc>>,
    pub(crate) created_before: Option<DateTime<Utc>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sort {
    Newest,
    Oldest,
    Priority,
}

impl Sort {
    // An id begins with the time of its making, so that its order is that of created_at.
    const fn clause(self) -> &'static str {
        match self {
            Self::Newest => "t.task_id DESC",
            Self::Oldest => "t.task_id",
            Self::Priority => "t.priority DESC, t.task_id",
        }
    }
}

type Boxed<'a> = BoxedSqlQuery<'a, Pg, SqlQuery>;

/// A statement with one condition after the other.
struct Query<'a> {
    inner: Boxed<'a>,
    binds: usize,
}

impl<'a> Query<'a> {
    fn new(text: &str) -> Self {
        Self { inner: sql_query(text).into_boxed(), binds: 0 }
    }

    fn text(&mut self, condition: &str, value: Option<&'a str>) {
        let Some(value) = value else { return };
        self.binds += 1;
        let condition = condition.replace('?', &format!("${}", self.binds));
        self.bound(|inner| inner.sql(condition).bind::<Text, _>(value));
    }

    fn id(&mut self, condition: &str, value: Option<Uuid>) {
        let Some(value) = value else { return };
        self.binds += 1;
        let condition = condition.replace('?', &format!("${}", self.binds));
        self.bound(|inner| inner.sql(condition).bind::<SqlUuid, _>(value));
    }

    fn time(&mut self, condition: &str, value: Option<DateTime<Utc>>) {
        let Some(value) = value else { return };
        self.binds += 1;
        let condition = condition.replace('?', &format!("${}", self.binds));
        self.bound(|inner| inner.sql(condition).bind::<Timestamptz, _>(value));
    }

    fn texts(&mut self, condition: &str, values: Option<&'a [String]>) {
        let Some(values) = values else { return };
        self.binds += 1;
        let condition = condition.replace('?', &format!("${}", self.binds));
        self.bound(|inner| inner.sql(condition).bind::<Array<Text>, _>(values));
    }

    fn bound(&mut self, change: impl FnOnce(Boxed<'a>) -> Boxed<'a>) {
        let inner = std::mem::replace(&mut self.inner, sql_query("").into_boxed());
        self.inner = change(inner);
    }

    fn filtered(mut self, filter: &'a Filter) -> Self {
        self.text(
            " AND (t.client_id = ? OR t.assigned_agent_id IN (SELECT agent_id FROM workers WHERE client_id = ?))",
            filter.eyes.as_deref(),
        );
        self.text(" AND t.client_id = ?", filter.client_id.as_deref());
        self.texts(" AND t.state = ANY(?::task_state[])", filter.statuses.as_deref());
        self.text(" AND t.task_type = ?", filter.task_type.as_deref());
        self.text(" AND t.capability_required = ?", filter.capability_required.as_deref());
        // In two parts, since there is one index for what a worker has and one for what it had.
        self.text(
            " AND ((t.assigned_agent_id = ? AND t.state IN ('ASSIGNED', 'RUNNING')) \
             OR (t.assigned_agent_id = ? AND t.state IN ('COMPLETED', 'FAILED', 'CANCELLED', 'TIMEOUT')))",
            filter.assigned_agent_id.as_deref(),
        );
        self.id(" AND t.chain_id = ?", filter.chain_id);
        self.id(" AND t.template_id = ?", filter.template_id);
        self.id(" AND t.schedule_id = ?", filter.schedule_id);
        self.text(" AND t.client_ref = ?", filter.client_ref.as_deref());
        self.time(" AND t.created_at >= ?", filter.created_after);
        self.time(" AND t.created_at <= ?", filter.created_before);
        self
    }
}

/// The tasks in a window, and how many there are.
pub(crate) fn page(conn: &mut Conn, filter: &Filter, sort: Sort, window: Window) -> QueryResult<(Vec<Row>, i64)> {
    #[derive(QueryableByName)]
    struct Count {
        #[diesel(sql_type = BigInt)]
        count: i64,
    }
    let count = Query::new("SELECT count(*) AS count FROM tasks AS t WHERE true").filtered(filter);
    let total = count.inner.get_result::<Count>(conn)?.count;
    if window.offset >= total {
        return Ok((Vec::new(), total));
    }
    let query = Query::new(concat!("SELECT ", row_columns!(), " FROM tasks AS t WHERE true")).filtered(filter);
    let order = format!(" ORDER BY {} LIMIT {} OFFSET {}", sort.clause(), window.limit, window.offset);
    Ok((query.inner.sql(order).load(conn)?, total))
}
