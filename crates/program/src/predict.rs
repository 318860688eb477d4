//! `zoo predict RUN INPUT…`: what a model says to what a person has in hand.

use zoo_report::terminal;
use zoo_tasks::{Answer, AnswerError, Question};

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
    let question = Question {
        inputs: &args.inputs,
        top: args.top,
    };
    // Where nobody reads what was printed, there is no more to do.
    let mut say = |answer: Answer| {
        match args.json {
            true => print_json(&with_input(&answer)),
            false => println!("{}", line(&answer)),
        }
        output::is_open()
    };
    let answered = saved.ready.answer(&*saved.codec, &question, &mut say);
    answered.map_err(|error| wrong(args, error))
}

fn wrong(args: &PredictArgs, error: AnswerError) -> Error {
    let run = args.run.display();
    match error {
        AnswerError::Input(problem) if problem.starts_with("holds ") => {
            Error::Request(format!("{run} {problem}"))
        }
        AnswerError::Input(problem) => Error::Request(problem),
        AnswerError::Output(problem) => Error::Failed(format!("{run}: {problem}")),
    }
}

/// `cat.png: tabby 81.5 %, lynx 12.0 %`
fn line(answer: &Answer) -> String {
    let parts = answer.parts.iter();
    let parts: Vec<String> = parts.map(|part| terminal::text(&part.exhibit)).collect();
    format!("{}: {}", answer.input, parts.join("; "))
}

fn with_input(answer: &Answer) -> serde_json::Value {
    let mut json = serde_json::json!({ "input": answer.input });
    if let (Some(all), Some(more)) = (json.as_object_mut(), answer.json.as_object()) {
        all.extend(more.clone());
    }
    json
}
