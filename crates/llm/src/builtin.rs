//! The model that is always there: no network, no weights, the same answer every time.

use futures_util::future::{BoxFuture, ready};

use crate::{ChatModel, Completion, Error, FinishReason, Request, Speaker, Usage};

/// Says what it was given and what it is; it invents nothing.
#[derive(Debug, Clone, Copy)]
pub struct BuiltIn;

impl ChatModel for BuiltIn {
    fn provider(&self) -> &'static str {
        "built-in"
    }

    fn name(&self) -> &'static str {
        "imago-builtin"
    }

    fn has_knowledge(&self) -> bool {
        false
    }

    fn complete(&self, request: Request) -> BoxFuture<'_, Result<Completion, Error>> {
        let said = |message: &&crate::Message| message.speaker == Speaker::User;
        let question = request.messages.iter().rev().find(said).map_or("", |message| message.text.as_str());
        let text = format!(
            "I am Imago's built-in model. I work offline and know only what I am given, and I was given nothing on: {}",
            question.trim()
        );
        let count = |text: &str| u32::try_from(text.split_whitespace().count()).unwrap_or(u32::MAX);
        let usage = Usage { input_tokens: count(&request.system) + count(question), output_tokens: count(&text) };
        Box::pin(ready(Ok(Completion { text, usage, finish_reason: FinishReason::Stop })))
    }
}

#[cfg(test)]
mod tests {
    use super::BuiltIn;
    use crate::{ChatModel as _, Request};

    #[tokio::test]
    async fn it_says_what_it_is_and_always_the_same() {
        let ask = || BuiltIn.complete(Request::ask("Be brief.", "Who was Ada Lovelace?"));
        let first = ask().await.unwrap();
        assert!(first.text.contains("built-in") && first.text.contains("Ada Lovelace"));
        assert_eq!(first, ask().await.unwrap());
    }
}
