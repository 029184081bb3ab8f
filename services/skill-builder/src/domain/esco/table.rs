//! One CSV file, row by row.

use csv::{ErrorKind, ReaderBuilder, StringRecord};

use super::Error;
use super::checked::{Checked, Fault};
use super::files::Files;

/// The columns that a file must have, and those that are used when it has them.
pub(super) struct Columns {
    pub(super) required: &'static [&'static str],
    pub(super) optional: &'static [&'static str],
}

/// One row, by the names of its columns.
pub(super) struct Row<'a> {
    record: &'a StringRecord,
    places: &'a [(&'static str, usize)],
}

impl Row<'_> {
    /// The cell without surrounding space; empty where the file has no such column.
    pub(super) fn get(&self, column: &str) -> &str {
        self.cell(column).unwrap_or_default()
    }

    /// The same, `None` where the file has no such column.
    pub(super) fn cell(&self, column: &str) -> Option<&str> {
        let (_, place) = self.places.iter().find(|(name, _)| *name == column)?;
        self.record.get(*place).map(str::trim)
    }
}

/// Calls `each` for every row of a file; what it refuses is reported with file and line. Returns how many rows there are.
pub(super) fn rows(
    files: &mut Files,
    file: &str,
    columns: &Columns,
    mut each: impl FnMut(&Row<'_>) -> Result<(), String>,
) -> Result<usize, Error> {
    let (reader, file_bytes_max, total_left) = files.reader(file)?;
    let checked = Checked::new(reader, file_bytes_max, total_left);
    let mut reader = ReaderBuilder::new().from_reader(checked);
    let header = reader.headers().map_err(|error| csv_error(file, error))?;
    let places = places(header, file, columns)?;
    let mut record = StringRecord::new();
    let mut count = 0;
    while reader.read_record(&mut record).map_err(|error| csv_error(file, error))? {
        each(&Row { record: &record, places: &places }).map_err(|problem| Error::Row {
            file: file.to_owned(),
            line: record.position().map_or(0, csv::Position::line),
            problem,
        })?;
        count += 1;
    }
    Ok(count)
}

fn places(header: &StringRecord, file: &str, columns: &Columns) -> Result<Vec<(&'static str, usize)>, Error> {
    let place = |column: &str| header.iter().position(|name| name.trim().eq_ignore_ascii_case(column));
    let required = columns.required.iter().map(|&column| match place(column) {
        Some(place) => Ok((column, place)),
        None => Err(Error::MissingColumn { file: file.to_owned(), column }),
    });
    let optional = columns.optional.iter().filter_map(|&column| Some(Ok((column, place(column)?))));
    required.chain(optional).collect()
}

fn csv_error(file: &str, error: csv::Error) -> Error {
    let file = file.to_owned();
    let row = |line: u64, problem: String| Error::Row { file: file.clone(), line, problem };
    let line = error.position().map_or(0, csv::Position::line);
    match error.into_kind() {
        ErrorKind::UnequalLengths { expected_len, len, .. } => {
            row(line, format!("{len} columns instead of {expected_len}"))
        }
        ErrorKind::Utf8 { .. } => row(line, "not UTF-8".to_owned()),
        ErrorKind::Io(error) => match Fault::of(&error) {
            Some(fault) => match fault.line() {
                Some(line) => row(line, fault.to_string()),
                None => Error::Unusable { place: file, problem: fault.to_string() },
            },
            None => Error::Unreadable { place: file, source: error },
        },
        other => Error::Unusable { place: file, problem: format!("not CSV: {other:?}") },
    }
}
