//! Logs and traces.
//!
//! Logs are one JSON object a line (`LOG_FORMAT=json`) or lines for people (`text`); spans go to an OpenTelemetry collector when
//! `OTEL_EXPORTER_OTLP_ENDPOINT` names one.

use std::{fmt, fs::OpenOptions, io, sync::Mutex};

use chrono::Utc;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::WithExportConfig as _;
use opentelemetry_sdk::{Resource, trace::SdkTracerProvider};
use serde::Deserialize;
use serde_json::{Map, Value};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    EnvFilter, Layer, Registry,
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer, writer::BoxMakeWriter},
    layer::SubscriberExt as _,
    registry::LookupSpan,
    util::SubscriberInitExt as _,
};

use crate::{
    context,
    settings::{Error, Settings},
};

#[derive(Debug, Deserialize)]
#[serde(default)]
struct Options {
    log_level: String,
    log_format: String,
    log_file: String,
    otel_exporter_otlp_endpoint: String,
    otel_service_name: String,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            log_level: "info".to_owned(),
            log_format: "json".to_owned(),
            log_file: String::new(),
            otel_exporter_otlp_endpoint: String::new(),
            otel_service_name: String::new(),
        }
    }
}

/// Keeps telemetry going; what is still buffered is sent when it is dropped.
#[derive(Debug, Default)]
#[must_use = "telemetry ends when this is dropped"]
pub struct Telemetry {
    tracer: Option<SdkTracerProvider>,
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        if let Some(Err(error)) = self.tracer.take().map(|tracer| tracer.shutdown()) {
            tracing::warn!(error = %error, "the last spans were not exported");
        }
    }
}

/// Starts logging and tracing for the process.
///
/// # Errors
/// When a setting cannot be read, or telemetry runs already.
pub fn init(settings: &Settings, service: &'static str) -> Result<Telemetry, Error> {
    let options: Options = settings.section()?;
    let level = match options.log_level.to_lowercase().as_str() {
        "warning" => "warn".to_owned(),
        "critical" => "error".to_owned(),
        level => level.to_owned(),
    };
    let filter = filter(&level)?;
    let writer = writer(&options.log_file)?;
    let tracer = exporter(&options, service)?;
    let spans = tracer.as_ref().map(|provider| tracing_opentelemetry::layer().with_tracer(provider.tracer("imago")));
    let logs: Box<dyn Layer<Registry> + Send + Sync> = match options.log_format.as_str() {
        "json" => Box::new(tracing_subscriber::fmt::layer().event_format(Json).with_writer(writer)),
        "text" => Box::new(tracing_subscriber::fmt::layer().with_writer(writer)),
        _ => return Err(Error::new("log_format", "must be json or text")),
    };
    tracing_subscriber::registry()
        .with(logs)
        .with(spans)
        .with(filter)
        .try_init()
        .map_err(|error| Error::new("log_level", error))?;
    Ok(Telemetry { tracer })
}

/// A level, or `tracing`'s directives (`info,diesel=debug`).
fn filter(level: &str) -> Result<EnvFilter, Error> {
    let levels = ["trace", "debug", "info", "warn", "error", "off"];
    if !level.contains(['=', ',']) && !levels.contains(&level) {
        return Err(Error::new("log_level", format!("must be one of {}", levels.join(", "))));
    }
    // Broken requests are their senders' fault, and there is no end to them.
    EnvFilter::try_new(format!("{level},actix_http::h1=off")).map_err(|error| Error::new("log_level", error))
}

fn writer(file: &str) -> Result<BoxMakeWriter, Error> {
    if file.is_empty() {
        return Ok(BoxMakeWriter::new(io::stderr));
    }
    let opened = OpenOptions::new().create(true).append(true).open(file);
    let opened = opened.map_err(|error| Error::new("log_file", error))?;
    Ok(BoxMakeWriter::new(Mutex::new(opened)))
}

fn exporter(options: &Options, service: &'static str) -> Result<Option<SdkTracerProvider>, Error> {
    let endpoint = &options.otel_exporter_otlp_endpoint;
    if endpoint.is_empty() {
        return Ok(None);
    }
    let failed = |error: &dyn fmt::Display| Error::new("otel_exporter_otlp_endpoint", error);
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_http()
        .with_endpoint(format!("{}/v1/traces", endpoint.trim_end_matches('/')))
        .build()
        .map_err(|error| failed(&error))?;
    let name = if options.otel_service_name.is_empty() { service } else { &options.otel_service_name };
    let resource = Resource::builder().with_service_name(name.to_owned()).build();
    Ok(Some(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build()))
}

/// One JSON object a line.
struct Json;

impl<S, N> FormatEvent<S, N> for Json
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, ctx: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let metadata = event.metadata();
        let function = ctx.lookup_current().map_or("", |span| span.name());
        let mut line = Map::new();
        let mut put = |key: &str, value: Value| drop(line.insert(key.to_owned(), value));
        put("timestamp", api_types::time::format(Utc::now()).into());
        put("level", metadata.level().as_str().into());
        put("logger", metadata.target().into());
        put("module", metadata.module_path().unwrap_or_default().into());
        put("function", function.into());
        put("line", metadata.line().into());
        if let Some(context) = context::current() {
            put("request_id", context.request_id.to_string().into());
        }
        let mut fields = Fields(&mut line);
        event.record(&mut fields);
        writeln!(writer, "{}", Value::Object(line))
    }
}

/// Collects an event's fields; its message is the field `message`.
struct Fields<'a>(&'a mut Map<String, Value>);

impl Fields<'_> {
    fn put(&mut self, field: &Field, value: Value) {
        self.0.insert(field.name().to_owned(), value);
    }
}

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}").into());
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.into());
    }
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value.into());
    }
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::layer::SubscriberExt as _;

    use super::Json;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_is_one_object_with_the_published_keys() {
        let kept = Kept::default();
        let writer = kept.clone();
        let lines = tracing_subscriber::fmt::layer().event_format(Json).with_writer(move || writer.clone());
        let subscriber = tracing_subscriber::registry().with(lines);
        tracing::subscriber::with_default(subscriber, || tracing::warn!(count = 3, "two\nlines"));
        let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.lines().count(), 1);
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        for key in ["timestamp", "level", "logger", "message", "module", "function", "line"] {
            assert!(line.get(key).is_some(), "{key} in {line}");
        }
        assert_eq!((line["count"].as_u64(), line["message"].as_str()), (Some(3), Some("two\nlines")));
    }
}
