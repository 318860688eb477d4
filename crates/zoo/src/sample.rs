//! Continuing a text: `zoo sample RUN`.

use zoo_codec::text::{Language, Streaming};
use zoo_train::rng::Stream;
use zoo_transformer::generate::{Sampling, generate};

use crate::cli::SampleArgs;
use crate::data::Codec;
use crate::error::Error;
use crate::language;
use crate::output;
use crate::saved::Saved;

/// Prints the prompt and its continuation as it is made.
pub fn run(args: &SampleArgs) -> Result<(), Error> {
    let saved = Saved::open(&args.run, args.backend.as_deref())?;
    let (Some(mut decoder), Some(language)) = (saved.ready.decoder(), language::of(&saved.codec))
    else {
        return Err(Error::Request(format!(
            "{} holds no decoder of text; predict is for classifiers",
            args.run.display()
        )));
    };
    let language =
        language.map_err(|problem| Error::Request(format!("{}: {problem}", args.run.display())))?;
    let sampling = sampling(args)?;
    let prompt = language
        .prompt(&args.prompt)
        .map_err(|problem| Error::Request(format!("--prompt: {problem}")))?;
    if prompt.is_empty() {
        return Err(Error::request(
            "--prompt is empty: a decoder needs a token to continue from",
        ));
    }
    let stop = stop(args, &saved.codec, &language)?;

    let (mut written, mut text) = Streaming::new(&language, &args.prompt, &prompt);
    let print = |piece: &str| {
        if !args.json {
            print!("{piece}");
            output::flush();
        }
    };
    let context = decoder.context();
    if prompt.len() > context {
        eprintln!(
            "warning: the prompt has {} tokens, and the model sees {context} at once: it goes on from \
             the last {context}",
            prompt.len()
        );
    }
    print(&text);
    let mut stream = Stream::new(args.seed);
    let mut count = 0;
    let tokens = generate(&mut decoder, &prompt, &sampling, &stop, || {
        unit(&mut stream)
    });
    for token in tokens.take(args.tokens) {
        let piece = written.push(token.map_err(Error::failed)?);
        print(&piece);
        text.push_str(&piece);
        count += 1;
        if !output::is_open() {
            break;
        }
    }
    let rest = written.finish();
    print(&rest);
    text.push_str(&rest);
    if args.json {
        println!(
            "{}",
            serde_json::json!({
                "prompt": args.prompt, "text": text, "tokens": count,
                "stopped": count < args.tokens,
            })
        );
    } else {
        print("\n");
    }
    Ok(())
}

/// A number drawn evenly from 0..1.
pub(crate) fn unit(stream: &mut Stream) -> f64 {
    (stream.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
}

fn sampling(args: &SampleArgs) -> Result<Sampling, Error> {
    let sampling = Sampling {
        temperature: args.temperature,
        top_k: args.top_k,
        top_p: args.top_p,
        repetition_penalty: args.repetition_penalty,
    };
    let problem = sampling.validate();
    // `top_k: …` is `--top-k: …` here.
    problem.map_err(|problem| match problem.split_once(':') {
        Some((key, rest)) => Error::Request(format!("--{}:{rest}", key.replace('_', "-"))),
        None => Error::Request(problem),
    })?;
    Ok(sampling)
}

/// The tokens that end the text: the model's own, and those of `--stop`.
fn stop(args: &SampleArgs, codec: &Codec, language: &Language) -> Result<Vec<u32>, Error> {
    let mut stop = language::stop(codec, language);
    for text in &args.stop {
        let tokens = language
            .plain(text)
            .map_err(|problem| Error::Request(format!("--stop: {problem}")))?;
        match tokens[..] {
            [token] => stop.push(token),
            _ => {
                return Err(Error::Request(format!(
                    "--stop {text:?}: {} tokens; a stop is one",
                    tokens.len()
                )));
            }
        }
    }
    Ok(stop)
}
