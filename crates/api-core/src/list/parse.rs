//! From the query string to a typed query.

use api_types::error::Code;
use url::form_urlencoded;

use super::{Field, Filter, Kind, ListQuery, ListSpec, Op, Sort, Value};
use crate::error::{ApiError, detail};

const PER_PAGE: i64 = 20;
const PER_PAGE_MAX: i64 = 100;
/// Pages beyond this are as empty as the last one; it keeps the offset a sane number.
const PAGE_MAX: i64 = 1_000_000_000;
const IN_MAX: usize = 1000;

impl ListSpec {
    /// Reads `page`, `per_page`, `filter[field]`, `filter[field][op]` and `sort`.
    ///
    /// # Errors
    /// 422 for unknown fields and operators and for values of another type; the field is the parameter's name as sent.
    pub(crate) fn parse(&self, query: &str) -> Result<ListQuery, ApiError> {
        let mut out =
            ListQuery { page: 1, per_page: PER_PAGE, filters: Vec::new(), sort: Vec::new(), id_column: self.id_column };
        let mut problems = Vec::new();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let mut problem = |code: Code, message: String| problems.push((code, detail_of(code, &name, &message)));
            match &*name {
                "page" => out.page = number_or(&value, 1).clamp(1, PAGE_MAX),
                "per_page" => out.per_page = number_or(&value, PER_PAGE).clamp(1, PER_PAGE_MAX),
                "sort" => match self.sort(&value) {
                    Ok(sort) => out.sort = sort,
                    Err(message) => problem(Code::InvalidFormat, message),
                },
                _ if name.starts_with("filter[") => match self.filter(&name, &value) {
                    Ok(filter) => out.filters.push(filter),
                    Err((code, message)) => problem(code, message),
                },
                _ => {}
            }
        }
        ApiError::fields(problems).map_or(Ok(out), Err)
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
        if op == Op::Contains && field.kind != Kind::Text {
            return Err(bad(format!("Operator 'contains' needs a text field, '{name}' is none")));
        }
        let value = value_of(field.kind, op, value)
            .ok_or_else(|| (Code::InvalidType, format!("'{name}' cannot be compared with this value")))?;
        Ok(Filter { column: field.column, op, value })
    }
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
    let parts: Vec<&str> = if op == Op::In { text.split(',').map(str::trim).collect() } else { vec![text] };
    if parts.len() > IN_MAX || text.contains('\0') {
        return None;
    }
    Some(match kind {
        Kind::Text => Value::Text(parts.into_iter().map(str::to_owned).collect()),
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

    use super::super::{Field, Kind, ListQuery, ListSpec};
    use crate::error::ApiError;

    const SPEC: ListSpec = ListSpec {
        fields: &[
            Field { name: "status", column: "status", kind: Kind::Text },
            Field { name: "cycles", column: "cycles", kind: Kind::Number },
            Field { name: "created_at", column: "created_at", kind: Kind::Time },
        ],
        id_column: "id",
    };

    fn parse(query: &str) -> Result<ListQuery, ApiError> {
        SPEC.parse(query)
    }

    #[test]
    fn pages_are_clamped_and_nonsense_is_the_default() {
        for (query, expected) in [
            ("", (1, 20)),
            ("page=0&per_page=0", (1, 1)),
            ("page=x&per_page=y", (1, 20)),
            ("page=2&per_page=1000", (2, 100)),
            ("page=99999999999999999999", (1_000_000_000, 20)),
            ("page=-5&per_page=-5", (1, 1)),
        ] {
            let query = parse(query).unwrap();
            assert_eq!((query.page, query.per_page), expected);
        }
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
