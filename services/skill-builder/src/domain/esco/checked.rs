//! Reading with limits: what a CSV parser would silently accept, or take all memory for, is refused here.

use std::fmt;
use std::io::{self, Read};

/// A cell longer than this has lost its closing quote.
const CELL_BYTES_MAX: u64 = 1024 * 1024;

/// What is wrong with a stream of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// More bytes than one file may have.
    FileTooLarge,
    /// More bytes than all files together may have.
    TotalTooLarge,
    /// A quote that never closes, opened on this line.
    OpenQuote(u64),
    /// A NUL on this line; no text can hold one.
    Nul(u64),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::FileTooLarge => "the file is too large",
            Self::TotalTooLarge => "the files are too large together",
            Self::OpenQuote(_) => "a quoted cell does not end; is the file cut off?",
            Self::Nul(_) => "a NUL character",
        })
    }
}

impl std::error::Error for Fault {}

impl Fault {
    /// The line to blame, when it is a line.
    pub(super) const fn line(self) -> Option<u64> {
        match self {
            Self::FileTooLarge | Self::TotalTooLarge => None,
            Self::OpenQuote(line) | Self::Nul(line) => Some(line),
        }
    }

    /// The fault that made a read fail, unless the reading itself did.
    pub(super) fn of(error: &io::Error) -> Option<Self> {
        error.get_ref()?.downcast_ref::<Self>().copied()
    }
}

/// A reader that counts and checks what passes.
pub(super) struct Checked<'a, R> {
    inner: R,
    /// Bytes that this file may still have.
    file_left: u64,
    /// Bytes that all files may still have.
    total_left: &'a mut u64,
    line: u64,
    /// The line of the open quote and how many bytes ago it was.
    quote: Option<(u64, u64)>,
}

impl<'a, R: Read> Checked<'a, R> {
    pub(super) fn new(inner: R, file_bytes_max: u64, total_left: &'a mut u64) -> Self {
        Self { inner, file_left: file_bytes_max, total_left, line: 1, quote: None }
    }

    fn check(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let count = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.file_left = self.file_left.checked_sub(count).ok_or(Fault::FileTooLarge)?;
        *self.total_left = self.total_left.checked_sub(count).ok_or(Fault::TotalTooLarge)?;
        for &byte in bytes {
            match byte {
                b'\n' => self.line += 1,
                b'"' => {
                    self.quote = match self.quote {
                        Some(_) => None,
                        None => Some((self.line, 0)),
                    };
                }
                0 => return Err(Fault::Nul(self.line)),
                _ => {}
            }
            if let Some((line, length)) = &mut self.quote {
                *length += 1;
                if *length > CELL_BYTES_MAX {
                    return Err(Fault::OpenQuote(*line));
                }
            }
        }
        Ok(())
    }
}

impl<R: Read> Read for Checked<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        if count == 0 && !buffer.is_empty() {
            return match self.quote {
                Some((line, _)) => Err(io::Error::other(Fault::OpenQuote(line))),
                None => Ok(0),
            };
        }
        self.check(&buffer[..count]).map_err(io::Error::other)?;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::{Checked, Fault};

    fn read(bytes: &[u8], file_max: u64, mut total: u64) -> Result<usize, Option<Fault>> {
        let mut out = Vec::new();
        Checked::new(bytes, file_max, &mut total).read_to_end(&mut out).map_err(|error| Fault::of(&error))
    }

    #[test]
    fn what_keeps_the_limits_passes() {
        assert_eq!(read(b"a,\"b\"\"c\n\",d\n", 100, 100), Ok(12));
    }

    #[test]
    fn a_file_and_all_files_together_have_a_limit() {
        assert_eq!(read(b"12345", 4, 100), Err(Some(Fault::FileTooLarge)));
        assert_eq!(read(b"12345", 100, 4), Err(Some(Fault::TotalTooLarge)));
        assert_eq!(read(b"12345", 5, 5), Ok(5));
    }

    #[test]
    fn a_quote_must_close() {
        assert_eq!(read(b"a\nb,\"c\nd", 100, 100), Err(Some(Fault::OpenQuote(2))));
        let mut long = b"x\n\"".to_vec();
        long.resize(3 << 20, b'x');
        assert_eq!(read(&long, u64::MAX, u64::MAX), Err(Some(Fault::OpenQuote(2))));
    }

    #[test]
    fn nul_is_refused() {
        assert_eq!(read(b"a\nb\0", 100, 100), Err(Some(Fault::Nul(2))));
    }
}
