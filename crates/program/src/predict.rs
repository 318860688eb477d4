//! `zoo predict RUN INPUT…`: what a model says to what a person has in hand.

use zoo_report::terminal;
use zoo_tasks::{Answer, AnswerError};

use crate::cli::PredictArgs;
use crate::error::Error;
use crate::output;
use crate::progress::print_json;
use crate::rows::Zoo;
use crate::saved::Saved;

/// Answers every input, one line each.
pub fn run(zoo: &Zoo, args: &PredictArgs) -> Result<(), Error> {
    let saved = Saved::open(zoo, &args.run, args.backend.as_deref())?;
    if args.top == 0 {
        return Err(Error::request("--top 0: must be 1 or more"));
    }
    let run = args.run.display();
    let answers = saved.ready.answers(&*saved.codec);
    let mut answer = answers.map_err(|problem| Error::Request(format!("{run}: {problem}")))?;
    for input in &args.inputs {
        let answer = answer(input, args.top).map_err(|error| match error {
            AnswerError::Input(problem) => Error::Request(problem),
            AnswerError::Output(problem) => Error::Failed(format!("{run}: {input:?}: {problem}")),
        })?;
        match args.json {
            true => print_json(&with_input(input, &answer)),
            false => println!("{input}: {}", line(&answer)),
        }
        // Where nobody reads what was printed, there is no more to do.
        if !output::is_open() {
            break;
        }
    }
    Ok(())
}

/// `tabby 81.5 %, lynx 12.0 %`
fn line(answer: &Answer) -> String {
    let parts = answer.parts.iter();
    let parts: Vec<String> = parts.map(|part| terminal::text(&part.exhibit)).collect();
    parts.join("; ")
}

fn with_input(input: &str, answer: &Answer) -> serde_json::Value {
    let mut json = serde_json::json!({ "input": input });
    if let (Some(all), Some(more)) = (json.as_object_mut(), answer.json.as_object()) {
        all.extend(more.clone());
    }
    json
}
