//! The envelopes of the native door.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::error::ErrorBody;

/// What every answer says about itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Meta {
    pub request_id: String,
    /// UTC, RFC 3339 with milliseconds.
    pub timestamp: String,
    #[schema(example = "v1")]
    pub version: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pagination: Option<Pagination>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deprecated: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deprecation_notice: Option<String>,
    /// Input that was ignored.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// Where a page of a list lies in the whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Pagination {
    pub page: i64,
    pub per_page: i64,
    /// Rows after filtering.
    pub total: i64,
    pub total_pages: i64,
    pub has_next: bool,
    pub has_prev: bool,
    /// Rows before this part. Not said by the lists of the builders' contract, unless they are asked for by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<i64>,
    /// Rows of this part at the most. As `offset`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<i64>,
}

impl Pagination {
    /// Page `page` (from 1) of `total` rows at `per_page` (at least 1) a page.
    #[must_use]
    pub const fn new(page: i64, per_page: i64, total: i64) -> Self {
        Self::at((page - 1).saturating_mul(per_page), per_page, total)
    }

    /// The part of `total` rows that begins after `offset` of them and has at most `limit` (at least 1).
    ///
    /// `page` is the one in which it begins, so that after a part across two pages `has_next` may promise an empty one.
    #[must_use]
    pub const fn at(offset: i64, limit: i64, total: i64) -> Self {
        let (page, total_pages) = (offset / limit + 1, (total + limit - 1) / limit);
        Self {
            page,
            per_page: limit,
            total,
            total_pages,
            has_next: page < total_pages,
            has_prev: offset > 0,
            offset: Some(offset),
            limit: Some(limit),
        }
    }

    /// The same, in pages alone.
    #[must_use]
    pub const fn in_pages(mut self) -> Self {
        (self.offset, self.limit) = (None, None);
        self
    }
}

/// The answer to a request that succeeded.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Success<T> {
    pub success: bool,
    pub data: T,
    pub meta: Meta,
}

/// The answer to a request that failed.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Failure {
    pub success: bool,
    pub error: ErrorBody,
    pub meta: Meta,
}

#[cfg(test)]
mod tests {
    use super::Pagination;

    #[test]
    fn an_empty_list_has_no_pages() {
        let page = Pagination::new(1, 20, 0);
        assert_eq!((page.total_pages, page.has_next, page.has_prev), (0, false, false));
    }

    #[test]
    fn the_last_page_may_be_short() {
        let page = Pagination::new(2, 2, 3);
        assert_eq!((page.total_pages, page.has_next, page.has_prev), (2, false, true));
        assert_eq!((page.offset, page.limit), (Some(2), Some(2)));
    }

    #[test]
    fn a_part_may_begin_anywhere() {
        let part = Pagination::at(3, 3, 5);
        assert_eq!((part.page, part.per_page, part.total_pages), (2, 3, 2));
        assert!(!part.has_next && part.has_prev);
        assert!(Pagination::at(1, 3, 5).has_next);
    }
}
