//! The same conditions without a database: for streams, whose entries come one by one.

use chrono::{DateTime, Utc};

use super::{Filter, ListQuery, Op, Value};

/// What an entry holds in a column.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Datum<'a> {
    Text(&'a str),
    Number(f64),
    Time(DateTime<Utc>),
    Boolean(bool),
    Absent,
}

impl ListQuery {
    /// Whether an entry meets all that was asked for; `column` gives what it holds by the names of the list's spec.
    /// A condition on a list of texts (`tag`) is met by none.
    pub fn matches<'a>(&self, column: impl Fn(&str) -> Datum<'a>) -> bool {
        self.filters.iter().all(|filter| filter.columns.iter().any(|name| holds(filter, column(name))))
    }
}

fn holds(filter: &Filter, datum: Datum<'_>) -> bool {
    use std::cmp::Ordering;
    // Nothing compares with what is absent, except that it differs from everything.
    if datum == Datum::Absent {
        return filter.op == Op::Ne;
    }
    let order = match (&filter.value, datum) {
        (Value::Text(texts), Datum::Text(own)) => match filter.op {
            Op::In => return texts.iter().any(|text| text == own),
            Op::Contains => {
                return texts.first().is_some_and(|text| own.to_lowercase().contains(&text.to_lowercase()));
            }
            Op::Begins => return texts.first().is_some_and(|text| own.starts_with(text.as_str())),
            _ => texts.first().map(|text| own.cmp(text.as_str())),
        },
        (Value::Number(numbers), Datum::Number(own)) => match filter.op {
            Op::In => return numbers.contains(&own),
            _ => numbers.first().and_then(|number| own.partial_cmp(number)),
        },
        (Value::Time(times), Datum::Time(own)) => match filter.op {
            Op::In => return times.contains(&own),
            _ => times.first().map(|time| own.cmp(time)),
        },
        (Value::Boolean(wanted), Datum::Boolean(own)) => Some(own.cmp(wanted)),
        _ => None,
    };
    let Some(order) = order else { return false };
    match filter.op {
        Op::Eq => order == Ordering::Equal,
        Op::Ne => order != Ordering::Equal,
        Op::Gt => order == Ordering::Greater,
        Op::Gte => order != Ordering::Less,
        Op::Lt => order == Ordering::Less,
        Op::Lte => order != Ordering::Greater,
        Op::In | Op::Contains | Op::Tag | Op::Begins => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Field, Kind, ListSpec, Plain},
        Datum,
    };

    const SPEC: ListSpec = ListSpec {
        fields: &[
            Field { name: "kind", column: "kind", kind: Kind::Dotted },
            Field { name: "level", column: "level", kind: Kind::Rising(&["low", "middle", "high"]) },
            Field { name: "at", column: "at", kind: Kind::Time },
            Field { name: "count", column: "count", kind: Kind::Number },
            Field { name: "nobody", column: "nobody", kind: Kind::Text },
        ],
        id_column: "id",
    };
    static PLAIN: Plain =
        Plain { filters: &["kind", "level"], search: &["message"], tag: None, time: Some("at"), newest_first: true };

    fn column(name: &str) -> Datum<'static> {
        match name {
            "kind" => Datum::Text("agent.ready"),
            "level" => Datum::Text("middle"),
            "message" => Datum::Text("Agent ÄRA is ready"),
            "at" => Datum::Time(api_types::time::parse("2026-01-02T00:00:00Z").unwrap()),
            "count" => Datum::Number(3.0),
            _ => Datum::Absent,
        }
    }

    #[test]
    fn an_entry_matches_as_its_row_would() {
        for (query, expected) in [
            ("", true),
            ("kind=agent.ready&level=low&search=ära", true),
            ("kind=agent.*", true),
            ("kind=agent*", false),
            ("kind=agen.*", false),
            ("kind=*", false),
            ("kind=agent.", false),
            ("filter[kind]=agent.*", true),
            ("filter[kind][in]=a.b,agent.ready", true),
            ("filter[kind][contains]=READY", true),
            ("level=middle", true),
            ("level=high", false),
            ("filter[level][in]=low,high", false),
            ("search=later", false),
            ("since=2026-01-02T00:00:00Z&until=2026-01-02T00:00:00Z", true),
            ("since=2026-01-02T00:00:00.001Z", false),
            ("filter[at][lt]=2026-01-02T00:00:00Z", false),
            ("filter[count][gt]=2&filter[count][lte]=3&filter[count][in]=1,3", true),
            ("filter[count][ne]=3", false),
            ("filter[nobody]=x", false),
            ("filter[nobody][ne]=x", true),
            ("filter[nobody][in]=x", false),
        ] {
            assert_eq!(SPEC.parse(query, &PLAIN).unwrap().matches(column), expected, "{query}");
        }
    }
}
