//! The example of `make run`: one agent, built through the public API like anybody's.

use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::{Value, json};

use crate::output;

const AGENT_ID: &str = "ada-lovelace";
const BUILD: Duration = Duration::from_secs(300);
/// How much of the agent is shown.
const SKILLS_SHOWN: usize = 12;
const ITEMS_SHOWN: usize = 3;

/// Builds the agent, or finds it from an earlier run, and shows it.
pub(crate) async fn run(public: &str, key: &str) -> anyhow::Result<()> {
    let http = reqwest::Client::builder().no_proxy().timeout(BUILD).build()?;
    let body = json!({
        "agent_id": AGENT_ID,
        "role_model": {
            "name": "Ada Lovelace",
            "occupation": "Mathematician",
            "bio": "She described how the Analytical Engine could be told, step by step, to compute the Bernoulli numbers.",
        },
        "deepening_cycles": 1,
    });
    output::line(&format!("\nBuilding an example agent: POST {public}/api/v1/agents"));
    output::line(&format!("  {body}"));
    let answer = http.post(format!("{public}/api/v1/agents")).bearer_auth(key).json(&body).send().await?;
    let status = answer.status().as_u16();
    let mut answer: Value = answer.json().await.context("the answer is not JSON")?;
    if status == 409 {
        output::line("  It is there already, from an earlier run.");
        let url = format!("{public}/api/v1/agents/{AGENT_ID}");
        answer = http.get(url).bearer_auth(key).send().await?.json().await?;
    } else if status != 201 {
        bail!("the example agent was not built: {}", answer["error"]["message"]);
    }
    show(&answer["data"]);
    output::line("\nGo on with");
    output::line(&format!("  curl -H 'Authorization: Bearer {key}' {public}/api/v1/agents/{AGENT_ID}"));
    output::line("\nServing until Ctrl-C.");
    Ok(())
}

fn show(agent: &Value) {
    let list = |name: &str| agent[name].as_array().map_or(&[][..], Vec::as_slice);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let occupation = &agent["occupation_match"];
    output::line(&format!(
        "\n{} · {} ({}, by {}, score {})",
        text(&agent["role_model"]["name"]),
        text(&occupation["label"]),
        text(&occupation["taxonomy"]),
        text(&occupation["method"]).replace('_', " "),
        occupation["score"],
    ));
    let skills = list("generated_skills");
    output::line(&format!("\nSkills ({}), the first {}:", skills.len(), SKILLS_SHOWN.min(skills.len())));
    for skill in skills.iter().take(SKILLS_SHOWN) {
        let confidence = skill["confidence"].as_f64().unwrap_or_default();
        output::line(&format!(
            "  {confidence:.2}  {:<34} {}",
            text(&skill["name"]),
            shortened(&text(&skill["description"]), 90)
        ));
    }
    let items = list("generated_knowledge");
    output::line(&format!("\nKnowledge ({}):", items.len()));
    for item in items.iter().take(ITEMS_SHOWN) {
        output::line(&format!("  [{}] {}", text(&item["source"]), shortened(&text(&item["text"]), 130)));
    }
    let reports =
        list("sources").iter().map(|report| format!("{} {}", text(&report["source"]), text(&report["status"])));
    output::line(&format!("  sources: {}", reports.collect::<Vec<_>>().join(", ")));
}

/// The first line, cut after so many characters.
fn shortened(text: &str, chars: usize) -> String {
    let line = text.lines().next().unwrap_or_default();
    match line.char_indices().nth(chars) {
        Some((end, _)) => format!("{}…", line[..end].trim_end()),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::shortened;

    #[test]
    fn a_long_text_is_cut_between_characters() {
        assert_eq!(shortened("äöü", 2), "äö…");
        assert_eq!(shortened("äöü\nmore", 3), "äöü");
    }
}
