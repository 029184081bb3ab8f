//! Requests a minute and an hour, in calendar-aligned windows, counted in this process and, where there is a store for it,
//! together with the other processes.

mod shared;
mod table;

pub use shared::Store;

use std::{
    net::IpAddr,
    time::{SystemTime, UNIX_EPOCH},
};

use api_types::{error::Code, time};
use tokio::sync::Notify;

use crate::{client_address, door::Door, error::ApiError};
use table::{Moment, Table};

/// Principals that have a counter of their own within an hour.
const PRINCIPALS_MAX: usize = 200_000;
/// Addresses that have a counter of their own within a minute.
const ADDRESSES_MAX: usize = 100_000;

/// How many requests a window allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    pub per_minute: u64,
    pub per_hour: u64,
}

/// A window of the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Window {
    Minute,
    Hour,
}

impl Window {
    #[must_use]
    pub const fn seconds(self) -> u64 {
        match self {
            Self::Minute => 60,
            Self::Hour => 3600,
        }
    }

    /// `minute` or `hour`
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
        }
    }
}

/// How somebody stands in one window after a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    pub limit: u64,
    /// Requests so far, refused ones included.
    pub used: u64,
    /// Unix seconds at which the window ends.
    pub reset_s: u64,
}

impl Standing {
    #[must_use]
    pub const fn remaining(&self) -> u64 {
        self.limit.saturating_sub(self.used)
    }

    #[must_use]
    pub const fn is_exceeded(&self) -> bool {
        self.used > self.limit
    }
}

/// How somebody stands after a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    pub minute: Standing,
    pub hour: Standing,
}

/// A request over a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exceeded {
    /// The window whose limit it was; the minute is looked at first.
    pub window: Window,
    pub standing: Standing,
    /// Until the window ends, in whole seconds rounded up.
    pub retry_after_s: u64,
    /// Whether it is the first that was refused in this window.
    pub is_first: bool,
}

impl Exceeded {
    /// As `door` answers it.
    #[must_use]
    pub fn to_error(&self, door: Door) -> ApiError {
        let (limit, seconds) = (self.standing.limit, self.retry_after_s);
        let message = match door {
            Door::Native => format!("Rate limit exceeded. Try again after {seconds} seconds."),
            Door::Ains => format!("Rate limit exceeded: {limit} requests per {}", self.window.as_str()),
        };
        let reset = i64::try_from(self.standing.reset_s).ok().and_then(|s| chrono::DateTime::from_timestamp(s, 0));
        ApiError::new(Code::TooManyRequests, message)
            .retry_after(seconds)
            .extra("limit", limit)
            .extra("window", format!("per_{}", self.window.as_str()))
            .extra("retry_after_seconds", seconds)
            .extra("current_usage", self.standing.used)
            .extra("reset_at", reset.map(time::format))
    }
}

/// A request that was counted, and whether it is over a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    pub allowance: Allowance,
    pub exceeded: Option<Exceeded>,
    /// Unix seconds at which it was counted.
    pub at_s: u64,
}

/// What an address without a credential is counted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anonymous {
    /// It presented no credential that is good.
    Refused,
    /// It called a route that is open to everybody.
    OpenRoute,
    /// It came through a door that the operator left open.
    OpenDoor(&'static str),
}

impl Anonymous {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Refused => "401",
            Self::OpenRoute => "open",
            Self::OpenDoor(door) => door,
        }
    }
}

/// Counts requests.
#[derive(Debug)]
pub struct RateLimiter {
    principals: Table,
    addresses: Table,
    /// Told when other processes should soon know what was counted here, if there are any.
    due: Option<Notify>,
}

impl RateLimiter {
    /// `is_shared` says whether a [`Store`] settles with other processes.
    #[must_use]
    pub fn new(is_shared: bool) -> Self {
        Self {
            principals: Table::new(PRINCIPALS_MAX, Window::Hour),
            addresses: Table::new(ADDRESSES_MAX, Window::Minute),
            due: is_shared.then(Notify::new),
        }
    }

    /// Counts one request of a principal, now.
    pub fn count(&self, principal: &str, limits: Limits) -> Counted {
        self.noticed(self.principals.count(principal, limits, Moment::at(now_ms())))
    }

    /// Counts one request from an address, now; IPv6 addresses count by their network of 64 bits, which is one customer's.
    ///
    /// # Errors
    /// When it is over the limit.
    pub fn count_address(&self, what: Anonymous, address: IpAddr, per_minute: u64) -> Result<(), Exceeded> {
        let name = format!("{} {}", what.as_str(), client_address::customer(address));
        let limits = Limits { per_minute, per_hour: u64::MAX };
        let counted = self.noticed(self.addresses.count(&name, limits, Moment::at(now_ms())));
        counted.exceeded.map_or(Ok(()), Err)
    }

    fn noticed(&self, (counted, is_due): (Counted, bool)) -> Counted {
        if let Some(due) = self.due.as_ref().filter(|_| is_due) {
            due.notify_one();
        }
        counted
    }
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
