use std::fs;

use super::*;

fn parsed(words: &[&str]) -> Result<Option<Request>, Failure> {
    Request::parse(lexopt::Parser::from_args(words))
}

fn refusal(words: &[&str]) -> String {
    match parsed(words) {
        Err(Failure::Request(message)) => message,
        other => panic!("{words:?}: {other:?}"),
    }
}

#[test]
fn all_is_measured_unless_less_is_asked_for() {
    let request = parsed(&["peers", "--python", "py"]).unwrap().unwrap();
    assert_eq!(request.models, MODELS);
    assert_eq!((request.modes, request.rounds), (vec![0, 1, 2], 5));
    assert_eq!((request.threads, request.json), (vec![1, 2], None));

    let less = [
        "peers",
        "--python=py",
        "--models=gpt,mlp,gpt",
        "--modes=infer64",
        "--threads=4, 1",
        "--rounds=2",
        "--json=out.json",
    ];
    let request = parsed(&less).unwrap().unwrap();
    let models: Vec<&str> = request.models.iter().map(|model| model.name).collect();
    assert_eq!((models, request.modes), (vec!["gpt", "mlp"], vec![2]));
    assert_eq!((request.threads, request.rounds), (vec![1, 4], 2));
    assert_eq!(request.json, Some("out.json".into()));
}

#[test]
fn a_wrong_request_is_told_what_there_is() {
    let with = |more: &[&str]| refusal(&[&["peers", "--python", "py"], more].concat());
    for (message, part) in [
        (refusal(&[]), "name a benchmark: peers"),
        (refusal(&["piers"]), "no benchmark `piers`; there is: peers"),
        (refusal(&["peers"]), "--python is missing"),
        (refusal(&["peers", "--python"]), "--python"),
        (with(&["more"]), "more"),
        (with(&["--quick"]), "--quick"),
        (with(&["--models", "bert"]), "bert: there are mlp, cnn"),
        (with(&["--models", ""]), "there are mlp, cnn"),
        (with(&["--modes", "train,eval"]), "eval: there are train"),
        (with(&["--threads", "0"]), "0: must be a whole number"),
        (with(&["--threads", "1,"]), "must be a whole number"),
        (with(&["--rounds", "few"]), "few: must be a whole number"),
        (with(&["--json", "no/such/folder/x.json"]), "does not exist"),
        (with(&["--json", "/"]), "is a folder"),
    ] {
        assert!(message.contains(part), "{part}: {message}");
    }
    assert!(matches!(parsed(&["--help"]), Ok(None)));
}

#[test]
fn the_help_names_every_model_and_mode() {
    let names = MODELS.iter().map(|model| model.name).chain(MODES);
    for name in names {
        assert!(HELP.contains(name), "{name}");
    }
}

#[test]
fn a_python_that_is_not_there_or_lacks_pytorch_is_a_wrong_request() {
    let refused = |python: &str| match pytorch_version(&python.into()) {
        Err(Failure::Request(message)) => message,
        other => panic!("{python}: {other:?}"),
    };
    assert!(refused("no-such-python").contains("pip install torch"));
    // Any program that fails without a word will do.
    #[cfg(unix)]
    assert!(refused("false").contains("no PyTorch there: it says nothing"));
}

#[test]
fn the_program_is_found_among_cargos_messages() {
    let messages = r#"
{"reason":"compiler-artifact","target":{"name":"zoo"},"executable":"target/release/zoo"}
{"reason":"compiler-artifact","target":{"name":"peers"},"executable":"target/release/deps/peers-0"}
{"reason":"build-finished","success":true}"#;
    let expected = Some(PathBuf::from("target/release/deps/peers-0"));
    assert_eq!(executable(messages, "peers"), expected);
    assert_eq!(executable("no JSON\n{}", "peers"), None);
}

#[test]
fn the_file_is_replaced_whole() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("peers.json");
    for rounds in [1, 2] {
        write(&file, &report(&[], "2.0", rounds)).unwrap();
        let text = fs::read_to_string(&file).unwrap();
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["rounds"], rounds);
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}
