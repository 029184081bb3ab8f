//! Hosted and self-hosted models.

use futures_util::future::BoxFuture;
use genai::{
    Client, ModelIden, ServiceTarget,
    adapter::AdapterKind,
    chat::{ChatMessage, ChatOptions, ChatRequest, StopReason},
    resolver::{AuthData, Endpoint},
};

use crate::{ChatModel, Completion, Config, Error, FinishReason, Request, Speaker, Usage};

/// A model that answers over HTTP.
pub struct Hosted {
    client: Client,
    model: String,
    provider: String,
}

impl std::fmt::Debug for Hosted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hosted").field("model", &self.model).finish_non_exhaustive()
    }
}

impl Hosted {
    /// # Errors
    /// When the client cannot be set up, e.g. since the model's name implies no provider.
    pub fn new(config: &Config, http: reqwest::Client) -> Result<Self, Error> {
        let (base_url, key) = (config.model_base_url.clone(), config.model_api_key.clone());
        let own_server = !base_url.is_empty();
        let resolve = move |mut target: ServiceTarget| -> Result<ServiceTarget, genai::resolver::Error> {
            if own_server {
                target.endpoint = Endpoint::from_owned(format!("{}/", base_url.trim_end_matches('/')));
                target.model = ModelIden::new(AdapterKind::OpenAI, target.model.model_name);
            }
            if own_server || !key.is_empty() {
                target.auth = AuthData::from_single(key.clone());
            }
            Ok(target)
        };
        let client = Client::builder()
            .with_reqwest(http)
            .with_service_target_resolver_fn(resolve)
            .build()
            .map_err(|error| Error::Provider(error.into()))?;
        let provider = if own_server {
            "openai-compatible".to_owned()
        } else {
            let identity = client.default_model(&config.default_model);
            identity.map_err(|error| Error::Provider(error.into()))?.adapter_kind.as_lower_str().to_owned()
        };
        Ok(Self { client, model: config.default_model.clone(), provider })
    }

    async fn ask(&self, request: Request) -> Result<Completion, Error> {
        let messages = request.messages.into_iter().map(|message| match message.speaker {
            Speaker::User => ChatMessage::user(message.text),
            Speaker::Assistant => ChatMessage::assistant(message.text),
        });
        let chat = ChatRequest::from_messages(messages.collect()).with_system(request.system);
        let options = ChatOptions::default().with_max_tokens(request.max_tokens).with_temperature(0.0);
        let answer = self.client.exec_chat(&self.model, chat, Some(&options));
        let answer = match tokio::time::timeout(request.timeout, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => return Err(Error::Provider(error.into())),
            Err(_elapsed) => return Err(Error::Timeout),
        };
        let finish_reason = match &answer.stop_reason {
            Some(StopReason::MaxTokens(_)) => FinishReason::Length,
            Some(StopReason::Completed(_) | StopReason::StopSequence(_)) | None => FinishReason::Stop,
            Some(_) => FinishReason::Other,
        };
        let tokens = |count: Option<i32>| count.and_then(|count| u32::try_from(count).ok()).unwrap_or_default();
        let usage = Usage {
            input_tokens: tokens(answer.usage.prompt_tokens),
            output_tokens: tokens(answer.usage.completion_tokens),
        };
        let text = answer.into_first_text().filter(|text| !text.trim().is_empty()).ok_or(Error::Empty)?;
        Ok(Completion { text, usage, finish_reason })
    }
}

impl ChatModel for Hosted {
    fn provider(&self) -> &str {
        &self.provider
    }

    fn name(&self) -> &str {
        &self.model
    }

    fn has_knowledge(&self) -> bool {
        true
    }

    fn complete(&self, request: Request) -> BoxFuture<'_, Result<Completion, Error>> {
        Box::pin(self.ask(request))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };

    use super::Hosted;
    use crate::{ChatModel as _, Config, Error, Request, Usage};

    /// Answers one request with `status` and `body` and returns what was sent.
    async fn provider(status: &'static str, body: String) -> (Hosted, tokio::task::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut sent = Vec::new();
            while !String::from_utf8_lossy(&sent).contains("\"messages\"") {
                let mut chunk = [0; 4096];
                let read = stream.read(&mut chunk).await.unwrap();
                sent.extend_from_slice(&chunk[..read]);
            }
            let length = body.len();
            let answer = format!(
                "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
            );
            stream.write_all(answer.as_bytes()).await.unwrap();
            String::from_utf8_lossy(&sent).into_owned()
        });
        drop(rustls::crypto::CryptoProvider::install_default(rustls::crypto::ring::default_provider()));
        let config = Config {
            default_model: "any-model".into(),
            model_base_url: format!("http://{address}/v1"),
            model_api_key: "key".into(),
        };
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        (Hosted::new(&config, http).unwrap(), server)
    }

    #[tokio::test]
    async fn an_openai_compatible_server_answers_with_its_own_token_counts() {
        let body = serde_json::json!({
            "id": "1", "object": "chat.completion", "created": 1, "model": "any-model",
            "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hello."}}],
            "usage": {"prompt_tokens": 11, "completion_tokens": 2, "total_tokens": 13},
        });
        let (model, server) = provider("200 OK", body.to_string()).await;
        let answer = model.complete(Request::ask("Be brief.", "Hi")).await.unwrap();
        assert_eq!(answer.text, "Hello.");
        assert_eq!(answer.usage, Usage { input_tokens: 11, output_tokens: 2 });
        let sent = server.await.unwrap();
        assert!(
            sent.starts_with("POST /v1/chat/completions") && sent.to_lowercase().contains("authorization: bearer key")
        );
    }

    #[tokio::test]
    async fn a_failing_provider_is_an_error_that_shows_no_key() {
        let (model, _server) = provider("500 Internal Server Error", "{}".into()).await;
        let error = model.complete(Request::ask("s", "q")).await.unwrap_err();
        assert!(matches!(error, Error::Provider(_)) && !error.to_string().contains("key"));
    }

    #[tokio::test]
    async fn a_provider_that_hangs_is_given_up() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let config = Config {
            default_model: "m".into(),
            model_base_url: format!("http://{}", listener.local_addr().unwrap()),
            model_api_key: String::new(),
        };
        drop(rustls::crypto::CryptoProvider::install_default(rustls::crypto::ring::default_provider()));
        let model = Hosted::new(&config, reqwest::Client::builder().no_proxy().build().unwrap()).unwrap();
        let request = Request { timeout: Duration::from_millis(50), ..Request::ask("s", "q") };
        assert!(matches!(model.complete(request).await, Err(Error::Timeout)));
    }
}
