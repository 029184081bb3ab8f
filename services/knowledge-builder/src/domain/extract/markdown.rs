//! Markdown as text: without its marks, blocks kept apart.

use std::time::Instant;

use pulldown_cmark::{Event, HeadingLevel, Options, Parser, Tag, TagEnd};

use super::{Error, Extract, html};

/// Events between two looks at the clock.
const EVENTS: usize = 4_096;

/// Reads a Markdown text; its title is the first heading of the first level.
///
/// # Errors
/// [`Error::TooSlow`] when the deadline passes.
pub(crate) fn read(markdown: &str, deadline: Instant) -> Result<Extract, Error> {
    let options = Options::ENABLE_TABLES
        | Options::ENABLE_STRIKETHROUGH
        | Options::ENABLE_TASKLISTS
        | Options::ENABLE_FOOTNOTES
        | Options::ENABLE_YAML_STYLE_METADATA_BLOCKS;
    let mut writer = Writer::default();
    for (count, event) in Parser::new_ext(markdown, options).enumerate() {
        if count % EVENTS == 0 && Instant::now() > deadline {
            return Err(Error::TooSlow);
        }
        writer.event(event, deadline)?;
    }
    Ok(Extract { title: writer.title, text: writer.text.trim_end().to_owned() })
}

#[derive(Default)]
struct Writer {
    text: String,
    title: Option<String>,
    in_title: bool,
    /// HTML of the block being read: it comes line by line.
    html: String,
    in_metadata: bool,
}

impl Writer {
    fn event(&mut self, event: Event<'_>, deadline: Instant) -> Result<(), Error> {
        match event {
            Event::Start(tag) => self.start(&tag),
            Event::End(tag) => self.end(tag, deadline)?,
            Event::Text(text) | Event::Code(text) => self.push(&text),
            Event::Html(html) => self.html.push_str(&html),
            Event::SoftBreak | Event::HardBreak => self.push("\n"),
            Event::Rule => self.separate("\n\n"),
            Event::InlineHtml(_)
            | Event::FootnoteReference(_)
            | Event::TaskListMarker(_)
            | Event::InlineMath(_)
            | Event::DisplayMath(_) => {}
        }
        Ok(())
    }

    fn start(&mut self, tag: &Tag<'_>) {
        match tag {
            Tag::Heading { level: HeadingLevel::H1, .. } if self.title.is_none() => {
                self.in_title = true;
                self.separate("\n\n");
            }
            Tag::Item | Tag::TableRow | Tag::TableHead => self.separate("\n"),
            Tag::MetadataBlock(_) => self.in_metadata = true,
            // The text of an item stands on its own line already.
            Tag::Paragraph | Tag::Heading { .. } | Tag::CodeBlock(_) | Tag::BlockQuote(_)
                if !self.text.ends_with('\n') =>
            {
                self.separate("\n\n");
            }
            _ => {}
        }
    }

    fn end(&mut self, tag: TagEnd, deadline: Instant) -> Result<(), Error> {
        match tag {
            TagEnd::Heading(_) => {
                self.in_title = false;
                self.separate("\n\n");
            }
            TagEnd::Paragraph
            | TagEnd::CodeBlock
            | TagEnd::BlockQuote(_)
            | TagEnd::Table
            | TagEnd::List(_)
            | TagEnd::FootnoteDefinition => self.separate("\n\n"),
            TagEnd::TableCell => self.separate(" "),
            TagEnd::HtmlBlock => {
                let html = std::mem::take(&mut self.html);
                self.push(&html::read(&html, deadline)?.text);
                self.separate("\n\n");
            }
            TagEnd::MetadataBlock(_) => self.in_metadata = false,
            _ => {}
        }
        Ok(())
    }

    fn push(&mut self, text: &str) {
        if self.in_metadata {
            return;
        }
        if self.in_title {
            self.title.get_or_insert_default().push_str(text);
        }
        self.text.push_str(text);
    }

    /// Ends the text so far with this separator, or leaves the wider one that it ends with.
    fn separate(&mut self, separator: &str) {
        let kept = self.text.trim_end_matches([' ', '\n']).len();
        let present = &self.text[kept..];
        if kept == 0 || present.contains(separator) || present.contains('\n') && separator == " " {
            return;
        }
        self.text.truncate(kept);
        self.text.push_str(separator);
    }
}
