//! Prometheus metrics. One registry a process; labels are bounded: names, route templates, statuses.

use std::{sync::LazyLock, time::Duration};

use prometheus::{
    Encoder as _, GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry, TextEncoder, core::Collector,
};

use crate::error::ApiError;

/// Seconds: from a cached read to a long build.
const BUCKETS: &[f64] =
    &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0];

static REGISTRY: LazyLock<Registry> = LazyLock::new(Registry::new);

/// Adds a metric to the process's registry and returns it. A metric of the same name that is there already wins;
/// the new one is then counted nowhere, so names are given once, in a `LazyLock`.
pub fn registered<C: Collector + Clone + 'static>(collector: prometheus::Result<C>) -> Option<C> {
    let registered = collector.and_then(|collector| REGISTRY.register(Box::new(collector.clone())).map(|()| collector));
    match registered {
        Ok(collector) => Some(collector),
        Err(error) => {
            tracing::error!(error = %error, "a metric is missing");
            None
        }
    }
}

/// A family of counters; counting one that could not be registered does nothing.
#[derive(Debug)]
pub struct Counters(Option<IntCounterVec>);

impl Counters {
    #[must_use]
    pub fn new(name: &str, help: &str, labels: &[&str]) -> Self {
        Self(registered(IntCounterVec::new(Opts::new(name, help), labels)))
    }

    pub fn add(&self, labels: &[&str], count: u64) {
        if let Some(counter) = self.0.as_ref().and_then(|family| family.get_metric_with_label_values(labels).ok()) {
            counter.inc_by(count);
        }
    }

    pub fn inc(&self, labels: &[&str]) {
        self.add(labels, 1);
    }
}

/// A family of values that go up and down.
#[derive(Debug)]
pub struct Gauges(Option<GaugeVec>);

impl Gauges {
    #[must_use]
    pub fn new(name: &str, help: &str, labels: &[&str]) -> Self {
        Self(registered(GaugeVec::new(Opts::new(name, help), labels)))
    }

    pub fn set(&self, labels: &[&str], value: f64) {
        if let Some(gauge) = self.0.as_ref().and_then(|family| family.get_metric_with_label_values(labels).ok()) {
            gauge.set(value);
        }
    }
}

/// A family of histograms over durations in seconds.
#[derive(Debug)]
pub struct Durations(Option<HistogramVec>);

impl Durations {
    #[must_use]
    pub fn new(name: &str, help: &str, labels: &[&str]) -> Self {
        let options = HistogramOpts::new(name, help).buckets(BUCKETS.to_vec());
        Self(registered(HistogramVec::new(options, labels)))
    }

    pub fn observe(&self, labels: &[&str], duration: Duration) {
        if let Some(histogram) = self.0.as_ref().and_then(|family| family.get_metric_with_label_values(labels).ok()) {
            histogram.observe(duration.as_secs_f64());
        }
    }

    /// Makes the series exist before anything is observed.
    pub fn touch(&self, labels: &[&str]) {
        if let Some(family) = &self.0 {
            drop(family.get_metric_with_label_values(labels));
        }
    }
}

pub(crate) static HTTP_REQUESTS: LazyLock<Counters> = LazyLock::new(|| {
    Counters::new("http_requests_total", "Requests answered", &["service", "method", "route", "status"])
});

pub(crate) static HTTP_DURATION: LazyLock<Durations> = LazyLock::new(|| {
    Durations::new("http_request_duration_seconds", "Time from request to answer", &["service", "route"])
});

/// All metrics of the process as Prometheus text 0.0.4.
///
/// # Errors
/// When a metric cannot be written.
pub fn render() -> Result<Vec<u8>, ApiError> {
    let mut out = Vec::new();
    TextEncoder::new().encode(&REGISTRY.gather(), &mut out).map_err(ApiError::internal)?;
    Ok(out)
}
