//! From the query string to a typed query.

use std::slice;

use api_types::error::Code;
use url::form_urlencoded;

use super::{Field, Filter, Kind, ListQuery, ListSpec, Op, Plain, Sort, Value};
use crate::error::{ApiError, detail};

/// Rows of a page, or of a part, where nothing is asked for.
const ROWS: i64 = 20;
const ROWS_MAX: i64 = 100;
/// Pages beyond this are as empty as the last one; it keeps the offset a sane number.
const PAGE_MAX: i64 = 1_000_000_000;
const OFFSET_MAX: i64 = PAGE_MAX * ROWS_MAX;
const IN_MAX: usize = 1000;
const SEARCH_CHARS_MAX: usize = 200;

/// Where to begin and how much to read, by either way of asking.
#[derive(Default)]
struct Paging {
    page: Option<i64>,
    per_page: Option<i64>,
    limit: Option<i64>,
    offset: Option<i64>,
}

impl Paging {
    /// Offset and limit. Where one of `limit`, `skip` and `offset` is present, `page` and `per_page` do not count.
    fn window(&self) -> (i64, i64) {
        if self.limit.is_some() || self.offset.is_some() {
            let limit = self.limit.unwrap_or(ROWS).clamp(1, ROWS_MAX);
            return (self.offset.unwrap_or(0).clamp(0, OFFSET_MAX), limit);
        }
        let per_page = self.per_page.unwrap_or(ROWS).clamp(1, ROWS_MAX);
        ((self.page.unwrap_or(1).clamp(1, PAGE_MAX) - 1) * per_page, per_page)
    }
}

/// A problem with a parameter: its code, and the message.
type Bad = (Code, String);

impl ListSpec {
    /// Reads `page`, `per_page`, `limit`, `skip`, `offset`, `filter[field]`, `filter[field][op]`, `sort`, and what `plain` names.
    ///
    /// # Errors
    /// 422 for unknown fields and operators and for values of another type; the field is the parameter's name as sent.
    pub(crate) fn parse(&self, query: &str, plain: &'static Plain) -> Result<ListQuery, ApiError> {
        let (mut paging, mut filters, mut sort) = (Paging::default(), Vec::new(), Vec::new());
        let mut problems = Vec::new();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let mut problem = |(code, message): Bad| problems.push((code, detail_of(code, &name, &message)));
            match &*name {
                "page" => paging.page = Some(number_or(&value, 1)),
                "per_page" => paging.per_page = Some(number_or(&value, ROWS)),
                "limit" => paging.limit = Some(number_or(&value, ROWS)),
                "skip" | "offset" => paging.offset = Some(number_or(&value, 0)),
                "sort" => match self.sort(&value) {
                    Ok(read) => sort = read,
                    Err(message) => problem((Code::InvalidFormat, message)),
                },
                _ if name.starts_with("filter[") => match self.filter(&name, &value) {
                    Ok(filter) => filters.push(filter),
                    Err(bad) => problem(bad),
                },
                _ if value.is_empty() => {}
                _ => match self.plain(plain, &name, &value) {
                    Ok(filter) => filters.extend(filter),
                    Err(bad) => problem(bad),
                },
            }
        }
        let (offset, limit) = paging.window();
        let newest_first = plain.newest_first;
        let says_window = !plain.is_none() || paging.limit.is_some() || paging.offset.is_some();
        let query = ListQuery { offset, limit, says_window, filters, sort, newest_first, id_column: self.id_column };
        ApiError::fields(problems).map_or(Ok(query), Err)
    }

    /// The condition that a plain parameter stands for; `None` for one that means nothing to the list.
    fn plain(&self, plain: &'static Plain, name: &str, value: &str) -> Result<Option<Filter>, Bad> {
        if plain.filters.contains(&name) {
            return match self.field(name) {
                Some(field) => compared(field, Op::Eq, value).map(Some),
                None => Ok(None),
            };
        }
        let text = |columns, op| {
            if value.contains('\0') {
                return Err((Code::InvalidFormat, format!("{name} must not hold the character U+0000")));
            }
            Ok(Some(Filter { columns, op, value: Value::Text(vec![value.to_owned()]) }))
        };
        let time = |columns, op| match api_types::time::parse(value) {
            Some(time) => Ok(Some(Filter { columns, op, value: Value::Time(vec![time]) })),
            None => Err((Code::InvalidFormat, format!("{name} must be an RFC 3339 time"))),
        };
        match (name, &plain.tag, &plain.time) {
            ("search", ..) if !plain.search.is_empty() => {
                if value.chars().count() > SEARCH_CHARS_MAX {
                    let message = format!("search must have 1 to {SEARCH_CHARS_MAX} characters");
                    return Err((Code::InvalidRange, message));
                }
                text(plain.search, Op::Contains)
            }
            ("tag", Some(column), _) => text(slice::from_ref(column), Op::Tag),
            ("since", _, Some(column)) => time(slice::from_ref(column), Op::Gte),
            ("until", _, Some(column)) => time(slice::from_ref(column), Op::Lte),
            _ => Ok(None),
        }
    }

    fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    fn sort(&self, value: &str) -> Result<Vec<Sort>, String> {
        let entries = value.split(',').map(str::trim).filter(|entry| !entry.is_empty());
        entries
            .map(|entry| {
                let (name, descending) = entry.strip_prefix('-').map_or((entry, false), |name| (name, true));
                let field = self.field(name).ok_or_else(|| format!("Unknown sort field '{name}'"))?;
                Ok(Sort { column: field.column, kind: field.kind, descending })
            })
            .collect()
    }

    fn filter(&self, parameter: &str, value: &str) -> Result<Filter, (Code, String)> {
        let bad = |message: String| (Code::InvalidFormat, message);
        let inner = parameter
            .strip_prefix("filter[")
            .and_then(|rest| rest.strip_suffix(']'))
            .ok_or_else(|| bad("A filter is written filter[field] or filter[field][op]".to_owned()))?;
        let (name, op) = inner.split_once("][").unwrap_or((inner, "eq"));
        let field = self.field(name).ok_or_else(|| bad(format!("Unknown filter field '{name}'")))?;
        let op = op_of(op).ok_or_else(|| bad(format!("Unknown filter operator '{op}'")))?;
        compared(field, op, value)
    }
}

fn compared(field: &'static Field, op: Op, text: &str) -> Result<Filter, Bad> {
    let name = field.name;
    let bad = |message: String| (Code::InvalidFormat, message);
    if op == Op::Contains && !matches!(field.kind, Kind::Text | Kind::Dotted) {
        return Err(bad(format!("Operator 'contains' needs a text field, '{name}' is none")));
    }
    if field.kind == Kind::Boolean && !matches!(op, Op::Eq | Op::Ne) {
        return Err(bad(format!("'{name}' is true or false: operators are eq and ne")));
    }
    let value = match field.kind {
        Kind::Boolean => match text {
            "true" => Value::Boolean(true),
            "false" => Value::Boolean(false),
            _ => return Err(bad(format!("{name} must be true or false"))),
        },
        Kind::Choice(among) | Kind::Rising(among) => {
            let parts: Vec<String> = parts(op, text).map(str::to_owned).collect();
            if !parts.iter().all(|part| among.contains(&part.as_str())) {
                return Err(bad(format!("{name} must be one of {}", among.join(", "))));
            }
            Value::Text(parts)
        }
        Kind::Text | Kind::Number | Kind::Time | Kind::Dotted => value_of(field.kind, op, text)
            .ok_or_else(|| (Code::InvalidType, format!("'{name}' cannot be compared with this value")))?,
    };
    let (op, value) = widened(field.kind, op, value);
    Ok(Filter { columns: slice::from_ref(&field.column), op, value })
}

/// Where to be equal means more than that.
fn widened(kind: Kind, op: Op, value: Value) -> (Op, Value) {
    match (kind, op, value) {
        (Kind::Rising(among), Op::Eq, Value::Text(named)) => {
            let more = among.iter().skip_while(|name| !named.iter().any(|named| named == *name));
            (Op::In, Value::Text(more.map(|name| (*name).to_owned()).collect()))
        }
        (Kind::Dotted, Op::Eq, Value::Text(named)) => match named.first().and_then(|name| name.strip_suffix('*')) {
            Some(family) if family.ends_with('.') => (Op::Begins, Value::Text(vec![family.to_owned()])),
            _ => (Op::Eq, Value::Text(named)),
        },
        (_, op, value) => (op, value),
    }
}

/// The values on the right of an operator.
fn parts(op: Op, text: &str) -> impl Iterator<Item = &str> {
    let many = op == Op::In;
    let split = many.then(|| text.split(',').map(str::trim)).into_iter().flatten();
    split.chain((!many).then_some(text))
}

/// A detail whose path is the parameter itself: its brackets are part of the name.
fn detail_of(code: Code, name: &str, message: &str) -> api_types::error::Detail {
    let mut detail = detail(code, name, message);
    detail.path = vec![name.to_owned()];
    detail
}

fn number_or(text: &str, default: i64) -> i64 {
    // Numbers beyond 64 bits are numbers all the same, and are clamped like other large ones.
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return default;
    }
    text.parse().unwrap_or(if text.starts_with('-') { i64::MIN } else { i64::MAX })
}

fn op_of(text: &str) -> Option<Op> {
    Some(match text {
        "eq" => Op::Eq,
        "ne" => Op::Ne,
        "gt" => Op::Gt,
        "gte" => Op::Gte,
        "lt" => Op::Lt,
        "lte" => Op::Lte,
        "in" => Op::In,
        "contains" => Op::Contains,
        _ => return None,
    })
}

fn value_of(kind: Kind, op: Op, text: &str) -> Option<Value> {
    let parts: Vec<&str> = parts(op, text).collect();
    if parts.len() > IN_MAX || text.contains('\0') {
        return None;
    }
    Some(match kind {
        Kind::Text | Kind::Boolean | Kind::Choice(_) | Kind::Rising(_) | Kind::Dotted => {
            Value::Text(parts.into_iter().map(str::to_owned).collect())
        }
        Kind::Number => Value::Number(parts.into_iter().map(finite).collect::<Option<_>>()?),
        Kind::Time => Value::Time(parts.into_iter().map(api_types::time::parse).collect::<Option<_>>()?),
    })
}

fn finite(text: &str) -> Option<f64> {
    text.trim().parse().ok().filter(|number: &f64| number.is_finite())
}

#[cfg(test)]
mod tests {
    use api_types::error::Code;

    use super::super::{Field, Kind, ListQuery, ListSpec, Plain};
    use crate::error::ApiError;

    const SPEC: ListSpec = ListSpec {
        fields: &[
            Field { name: "status", column: "status", kind: Kind::Text },
            Field { name: "cycles", column: "cycles", kind: Kind::Number },
            Field { name: "created_at", column: "created_at", kind: Kind::Time },
            Field { name: "on", column: "on", kind: Kind::Boolean },
            Field { name: "state", column: "state", kind: Kind::Choice(&["up", "down"]) },
        ],
        id_column: "id",
    };
    static PLAIN: Plain = Plain {
        filters: &["status", "on", "state"],
        search: &["name", "about"],
        tag: Some("tags"),
        time: Some("created_at"),
        newest_first: true,
    };

    fn parse(query: &str) -> Result<ListQuery, ApiError> {
        SPEC.parse(query, &PLAIN)
    }

    #[test]
    fn pages_are_clamped_and_nonsense_is_the_default() {
        for (query, expected) in [
            ("", (0, 20)),
            ("page=0&per_page=0", (0, 1)),
            ("page=x&per_page=y", (0, 20)),
            ("page=2&per_page=1000", (100, 100)),
            ("page=99999999999999999999", (19_999_999_980, 20)),
            ("page=-5&per_page=-5", (0, 1)),
        ] {
            let query = parse(query).unwrap();
            assert_eq!((query.offset, query.limit), expected);
        }
    }

    #[test]
    fn limit_skip_and_offset_count_before_pages() {
        for (query, expected) in [
            ("limit=3&skip=4&page=9&per_page=50", (4, 3)),
            ("offset=7&per_page=50", (7, 20)),
            ("limit=0&page=3", (0, 1)),
            ("limit=1000&offset=-2", (0, 100)),
            ("limit=many&skip=some", (0, 20)),
            ("offset=99999999999999999999", (100_000_000_000, 20)),
        ] {
            let read = parse(query).unwrap();
            assert_eq!((read.offset, read.limit), expected, "{query}");
        }
    }

    #[test]
    fn a_plain_filter_is_the_filter_of_that_name_and_an_empty_one_is_none() {
        let filters = |query: &str| parse(query).unwrap().filters;
        for (name, value) in [("status", "a"), ("on", "true"), ("state", "down")] {
            assert_eq!(filters(&format!("{name}={value}")), filters(&format!("filter[{name}]={value}")));
        }
        assert!(filters("status=&search=&tag=&since=&cycles=3&whatever=1").is_empty());
        // A list that takes none is not filtered by accident.
        assert!(SPEC.parse("status=a&search=x&tag=t", &Plain::NONE).unwrap().filters.is_empty());
    }

    #[test]
    fn what_lies_outside_a_closed_list_or_is_no_time_has_the_wrong_form() {
        let long = format!("search={}", "x".repeat(201));
        for (query, field, code) in [
            ("state=sideways", "state", Code::InvalidFormat),
            ("filter[state][in]=up,sideways", "filter[state][in]", Code::InvalidFormat),
            ("on=maybe", "on", Code::InvalidFormat),
            ("filter[on][gt]=true", "filter[on][gt]", Code::InvalidFormat),
            ("since=yesterday", "since", Code::InvalidFormat),
            ("search=%00", "search", Code::InvalidFormat),
            (long.as_str(), "search", Code::InvalidRange),
        ] {
            let error = parse(query).unwrap_err();
            assert_eq!((error.details()[0].field.as_str(), error.code()), (field, code), "{query}");
        }
        assert!(parse("state=up&filter[state][in]=up,down&since=2026-01-01T00:00:00Z&search=ada&tag=t").is_ok());
    }

    #[test]
    fn what_is_unknown_is_named_as_it_was_sent() {
        for (query, field, code) in [
            ("filter%5Bghost%5D=1", "filter[ghost]", Code::InvalidFormat),
            ("filter[status][like]=1", "filter[status][like]", Code::InvalidFormat),
            ("filter[cycles]=many", "filter[cycles]", Code::InvalidType),
            ("filter[created_at][gt]=yesterday", "filter[created_at][gt]", Code::InvalidType),
            ("filter[cycles][contains]=1", "filter[cycles][contains]", Code::InvalidFormat),
            ("filter[status=1", "filter[status", Code::InvalidFormat),
            ("sort=-ghost", "sort", Code::InvalidFormat),
        ] {
            let error = parse(query).unwrap_err();
            assert_eq!((error.details()[0].field.as_str(), error.code()), (field, code));
        }
    }

    #[test]
    fn sorting_reads_its_fields_in_order() {
        let query = parse("sort=status,-cycles").unwrap();
        let order: Vec<_> = query.sort.iter().map(|sort| (sort.column, sort.descending)).collect();
        assert_eq!(order, [("status", false), ("cycles", true)]);
    }
}
