//! The one text of a JSON object that can be signed: keys sorted at every level, no spaces, UTF-8.
//!
//! Numbers stay as they were sent. Languages print them differently (`1e-5`, `1e-05`, `0.00001`), but each signs what it sends.

use std::collections::BTreeMap;

/// As deep as bodies may be.
const DEPTH_MAX: usize = 128;
/// What is not signed.
const SIGNATURE: &str = "signature";

/// The text of a JSON object without its member `signature`. `None` when it is no such object.
#[must_use]
pub fn canonical(json: &str) -> Option<String> {
    let mut reader = Reader { text: json, at: 0 };
    if reader.peek()? != b'{' {
        return None;
    }
    let mut members = reader.members(DEPTH_MAX)?;
    members.remove(SIGNATURE);
    reader.peek().is_none().then(|| object(&members))
}

fn object(members: &BTreeMap<String, String>) -> String {
    let members: Vec<_> = members.iter().map(|(name, value)| format!("{}:{value}", quoted(name))).collect();
    format!("{{{}}}", members.join(","))
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    /// The next byte that is no white space.
    fn peek(&mut self) -> Option<u8> {
        let rest = self.text.as_bytes().get(self.at..)?;
        self.at += rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')).count();
        self.text.as_bytes().get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    /// `depth` is how many levels may still be opened.
    fn value(&mut self, depth: usize) -> Option<String> {
        match self.peek()? {
            b'{' => self.members(depth).map(|members| object(&members)),
            b'[' => self.elements(depth).map(|elements| format!("[{}]", elements.join(","))),
            b'"' => self.string().map(|text| quoted(&text)),
            _ => self.scalar(),
        }
    }

    fn members(&mut self, depth: usize) -> Option<BTreeMap<String, String>> {
        let (mut members, depth) = (BTreeMap::new(), depth.checked_sub(1)?);
        self.take(b'{')?;
        if self.take(b'}').is_some() {
            return Some(members);
        }
        loop {
            self.peek()?;
            let name = self.string()?;
            self.take(b':')?;
            members.insert(name, self.value(depth)?);
            if self.take(b',').is_none() {
                return self.take(b'}').map(|()| members);
            }
        }
    }

    fn elements(&mut self, depth: usize) -> Option<Vec<String>> {
        let (mut elements, depth) = (Vec::new(), depth.checked_sub(1)?);
        self.take(b'[')?;
        if self.take(b']').is_some() {
            return Some(elements);
        }
        loop {
            elements.push(self.value(depth)?);
            if self.take(b',').is_none() {
                return self.take(b']').map(|()| elements);
            }
        }
    }

    /// A string with its escapes resolved: `é` and `\u00e9` are one text.
    fn string(&mut self) -> Option<String> {
        let bytes = self.text.as_bytes();
        let (start, mut end) = (self.at, self.at + 1);
        while *bytes.get(end)? != b'"' {
            end += if bytes[end] == b'\\' { 2 } else { 1 };
        }
        self.at = end + 1;
        serde_json::from_str(self.text.get(start..self.at)?).ok()
    }

    /// A number, `true`, `false` or `null`, as it stands there.
    fn scalar(&mut self) -> Option<String> {
        let rest = self.text.get(self.at..)?;
        let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
        let length = rest.bytes().take_while(is_part).count();
        self.at += length;
        let text = rest.get(..length)?;
        serde_json::from_str::<serde_json::Value>(text).ok().map(|_| text.to_owned())
    }
}
