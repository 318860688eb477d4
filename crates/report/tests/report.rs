//! `report.html`: what is in it, that nothing of a run folder becomes markup, and how it looks in
//! headless Chromium. Pictures of it stay in the folder that each test names.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

mod common;

use std::fs;
use std::path::Path;

use common::Browser;
use serde_json::{Value, json};
use zoo_report::insight::Insight;
use zoo_report::{Folder, page};
use zoo_train::{Event, Example, Exhibit, Frame, Label, Line, Part, Picture, Section};

/// A picture of 2 by 2 pixels, grey, as PNG in base64.
const PNG: &str = "iVBORw0KGgoAAAANSUhEUgAAAAIAAAACCAAAAABX3VL4AAAADklEQVR4nGNkYGBgYAAAAB4ABGZC8YcAAAAASUVORK5CYII=";

const RECIPE: &str = r#"
about = "a test of <reports>"
[train]
epochs = 4
[expect]
metrics = { "test.accuracy" = [0.84, 0.88], "test.loss" = [0.1, 0.2] }
"#;

fn record(state: &str) -> Value {
    json!({
        "state": state,
        "problem": null,
        "recipe": "demo",
        "backend": "flex",
        "devices": ["flex"],
        "seed": 7,
        "metrics": [
            { "name": "loss", "better": "lower", "unit": "nats" },
            { "name": "accuracy", "better": "higher", "unit": "share" },
        ],
        "started": "2026-01-02T03:04:05Z",
        "ended": "2026-01-02T03:14:05Z",
        "zoo": "0.1.0",
        "burn": "0.22.1",
        "recipe_sha256": "ab".repeat(32),
        "data_sha256": {"train": "cd".repeat(32)},
        "environment": {"processor": "A <processor> & more", "cores": "2"},
        "resumed": [{"step": 100, "at": "2026-01-02T03:09:05Z", "changed": ["train.epochs was 2, is 4"]}],
        "result": {
            "metrics": {"test.accuracy": 0.8605, "test.loss": 0.461, "valid.accuracy": 0.9},
            "steps": 200,
            "stopped_early": false,
            "wall_seconds": 600.0,
            "samples_per_second": 12345.0,
        },
    })
}

/// A run of 200 steps in four epochs that was resumed after the second.
fn events() -> Vec<Event> {
    let start = |step| Event::Start {
        recipe: "demo".into(),
        step,
        total_steps: 200,
        steps_per_epoch: 50,
        parameters: 100,
        metrics: Vec::new(),
    };
    let mut events = vec![start(0)];
    for step in 1..=200_usize {
        let x = step as f64;
        events.push(Event::Step {
            step,
            epoch: x / 50.0,
            loss: 2.0 * (-x / 60.0).exp() + 0.1 * (x * 1.7).sin().abs(),
            learning_rate: 0.01 * (1.0 - x / 200.0),
            gradient_norm: 10.0_f64.powf(2.0 - x / 50.0),
            samples_per_second: 12_000.0 + 500.0 * (x / 9.0).sin(),
        });
        if step.is_multiple_of(50) {
            events.push(Event::Epoch {
                epoch: step / 50,
                step,
                loss: 2.0 * (-x / 60.0).exp() + 0.06,
                wall_seconds: x,
            });
            let metrics = [
                ("loss", 1.8 * (-x / 60.0).exp() + 0.1),
                ("accuracy", 0.9 - 40.0 / (x + 10.0) / 2.0),
            ];
            events.push(Event::Validation {
                step,
                metrics: metrics.map(|(name, value)| (name.to_owned(), value)).into(),
                best: step != 100,
            });
        }
        if step == 100 {
            events.push(start(100));
        }
    }
    events
}

fn picture(values: Vec<f32>) -> Exhibit {
    Exhibit::Picture {
        picture: Picture {
            png: PNG.into(),
            size: [2, 2],
        },
        values,
        boxes: Vec::new(),
    }
}

fn text(pieces: &[&str], values: Vec<f32>) -> Exhibit {
    Exhibit::Text {
        pieces: pieces.iter().map(|piece| (*piece).to_owned()).collect(),
        separator: " ".into(),
        values,
    }
}

/// What the model took an input for, and what it is.
fn answered(about: &str, input: Exhibit, answer: &str, share: f64, truth: &str) -> Example {
    let answer = Exhibit::Labels {
        labels: vec![Label::likely(answer, share)],
    };
    Example::new(about)
        .with("", input)
        .with(Part::ANSWER, answer)
        .with(Part::TRUTH, Exhibit::label(truth))
}

fn continued(prompt: &str, answer: &str, truth: &str) -> Example {
    Example::new("")
        .with(Part::PROMPT, Exhibit::text(prompt))
        .with(Part::ANSWER, Exhibit::text(answer))
        .with(Part::TRUTH, Exhibit::text(truth))
}

fn confusion(names: Vec<String>, counts: Vec<Vec<usize>>) -> Example {
    Example::new("").with("", Exhibit::Confusion { names, counts })
}

fn section(title: &str, examples: Vec<Example>) -> Section {
    Section {
        examples,
        ..Section::new(title, format!("About {}.", title.to_lowercase()))
    }
}

fn insight() -> Insight {
    let names: Vec<String> = (0..10).map(|digit| digit.to_string()).collect();
    let row = |label: usize| {
        (0..10).map(move |at| {
            if at == label {
                90 + label
            } else {
                (label * at) % 7
            }
        })
    };
    let counts = (0..10).map(|label| row(label).collect()).collect();
    let mistake = |index: usize| {
        let (label, answer) = (index % 10, (index + 3) % 10);
        answered(
            &format!("no. {index}"),
            picture(Vec::new()),
            &answer.to_string(),
            0.9734,
            &label.to_string(),
        )
    };
    let explained = |input| answered("", input, "positive", 0.731, "negative");
    let film = ["a", "film", "of", "<great>", "charm"];
    Insight {
        split: "test".into(),
        examples: 1000,
        sections: vec![
            section("Confusion", vec![confusion(names, counts)]),
            section("Worst mistakes", (0..12).map(mistake).collect()),
            section(
                "Samples",
                vec![
                    continued("27+85=", "211", "211"),
                    continued("35+6=", "14", "140"),
                ],
            ),
            section(
                "What an answer depends on",
                vec![
                    explained(picture(vec![0.5, -0.25, 0.0, 1.0])),
                    explained(text(&film, vec![0.0, -0.2, 0.1, 0.6, 0.3])),
                ],
            ),
        ],
    }
}

fn write(folder: &Path, record: &Value, events: &[Event], insight: Option<&Insight>) {
    fs::create_dir_all(folder).unwrap();
    let lines = events
        .iter()
        .map(|event| serde_json::to_string(event).unwrap() + "\n");
    fs::write(folder.join("metrics.jsonl"), lines.collect::<String>()).unwrap();
    fs::write(folder.join("run.json"), record.to_string()).unwrap();
    fs::write(folder.join("recipe.toml"), RECIPE).unwrap();
    if let Some(insight) = insight {
        fs::write(
            folder.join("insight.json"),
            serde_json::to_string(insight).unwrap(),
        )
        .unwrap();
    }
}

fn draw(record: &Value, events: &[Event], insight: Option<&Insight>) -> String {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("demo-flex-1");
    write(&folder, record, events, insight);
    page(&Folder::read(&folder).unwrap())
}

#[test]
fn a_finished_run_is_told_in_whole() {
    let page = draw(&record("finished"), &events(), Some(&insight()));
    for part in [
        "<h1>demo-flex-1</h1>",
        "a test of &lt;reports&gt;",
        "step 200 of 200",
        "<dt>Test accuracy</dt><dd>86.05 %<small class=\"kept\">as the recipe claims: 84.00 % to 88.00 %",
        "<dt>Test loss</dt><dd>0.461<small class=\"missed\">the recipe claims 0.100 to 0.200",
        "10 min 0 s",
        "Loss over steps",
        "Validation accuracy over steps",
        "Learning rate over steps",
        "Gradient norm over steps",
        "Throughput, examples a second over steps",
        "key resumed",
        "after step 100; train.epochs was 2, is 4",
        "A &lt;processor&gt; &amp; more",
        "<p class=\"soft\">1000 examples of the test split. About confusion.</p>",
        "<p class=\"soft\">About samples.</p>",
        "taken for 4",
        "<p class=\"says\"><b>7</b> <small>at 97.3&nbsp;%</small>, should be <b>4</b><br><small>no. 4",
        "should be <b>negative</b>",
        "<span class=\"given\">27+85=</span><b class=\"right\">211</b></p>",
        "<b class=\"right\">211</b>",
        "<b class=\"wrong\">14</b> <small>should be 140</small>",
        "sha256 of the train data",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    assert_eq!(page.matches("id=\"live\"").count(), 1);
    assert!(page.ends_with("</body>\n</html>\n"));
}

#[test]
fn a_run_without_anything_yet_and_a_killed_one_are_told_as_they_are() {
    let mut begun = record("running");
    begun["result"] = Value::Null;
    let empty = draw(&begun, &[], None);
    // Nobody holds its lock.
    assert!(empty.contains("interrupted") && empty.contains("No step has been logged yet"));
    let some = draw(&begun, &events()[..30], None);
    assert!(
        some.contains("step 29 of 200") && some.contains("Training loss"),
        "{some}"
    );
    begun["state"] = "failed".into();
    begun["problem"] = "the loss became NaN at step 30".into();
    let failed = draw(&begun, &events()[..30], None);
    assert!(failed.contains("warning failure\">the loss became NaN"));
}

#[test]
fn nothing_of_a_run_folder_becomes_markup() {
    let evil = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>";
    let mut record = record("failed");
    for key in [
        "problem",
        "recipe",
        "started",
        "ended",
        "zoo",
        "burn",
        "recipe_sha256",
    ] {
        record[key] = evil.into();
    }
    record["devices"] = json!([evil]);
    record["environment"] = json!({evil: evil});
    record["data_sha256"] = json!({evil: evil});
    record["resumed"] = json!([{"step": 1, "at": evil, "changed": [evil]}]);
    record["result"]["metrics"] = json!({evil: 1.0});
    let mut insight = insight();
    insight.split = evil.into();
    insight.sections = everything(evil);
    let mut events = events();
    for event in &mut events {
        if let Event::Validation { metrics, .. } = event {
            metrics.insert(evil.into(), 0.5);
        }
    }
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("demo-flex-1");
    write(&folder, &record, &events, Some(&insight));
    fs::write(
        folder.join("recipe.toml"),
        format!("about = '''{evil}'''\n# {evil}"),
    )
    .unwrap();
    let mut read = Folder::read(&folder).unwrap();
    read.problems.push(evil.into());
    let page = page(&read);
    assert!(!page.contains("not shown"), "all of it is looked at");
    for mark in ["<script", "<img src=x", "'><"] {
        assert!(!page.contains(mark), "{mark}");
    }
    assert!(
        page.matches("&lt;script&gt;").count() > 20,
        "it is there, as text"
    );
}

/// One of each kind, in which every word is `name`.
fn everything(name: &str) -> Vec<Section> {
    let word = || name.to_owned();
    let picture = |png: &str| Exhibit::Picture {
        picture: Picture {
            png: png.into(),
            size: [2, 2],
        },
        values: vec![0.5, -0.25, 0.0, 1.0],
        boxes: vec![Frame {
            corners: [0.0, 0.5, 1.0, 2.0],
            label: Label::likely(name, 0.5),
        }],
    };
    let mask = Exhibit::Mask {
        size: [2, 2],
        classes: vec![0, 1, 1, 255],
        names: vec![word(), "sky".into()],
    };
    let sound = |wav: &str| Exhibit::Sound {
        wav: wav.into(),
        seconds: 1.25,
    };
    let heat = Exhibit::Heat {
        size: [2, 3],
        values: vec![0.0, 1.0, 2.0, 3.0, f32::NAN, 5.0],
        axes: [word(), word()],
    };
    let line = |points: &[[f64; 2]]| Line {
        name: word(),
        points: points.to_vec(),
    };
    let curve = Exhibit::Curve {
        axes: [word(), word()],
        lines: vec![
            line(&[[-1.0, 2.0], [3.0, 1.0]]),
            line(&[[0.0, 0.5], [1.0, 4.0]]),
        ],
    };
    let table = Exhibit::Table {
        columns: vec![word(), "count".into()],
        rows: vec![vec![word(), "7".into()], vec![word(), "12.5".into()]],
    };
    let counts = vec![vec![3, 1], vec![0, 2]];
    let matrix = Exhibit::Confusion {
        names: vec![word(), "dog".into()],
        counts,
    };
    let frames = Exhibit::Frames {
        frames: vec![picture(PNG), Exhibit::text(name)],
    };
    let labels = Exhibit::Labels {
        labels: vec![Label::likely(name, 0.75), Label::new(name)],
    };
    let each = [
        picture(PNG),
        picture(name),
        mask,
        sound("UklGRg=="),
        sound(name),
        heat,
        curve,
        table,
        matrix,
        frames,
        labels,
        text(&[name, name], vec![0.25, -0.5]),
        text(&[name], Vec::new()),
    ];
    let one = |exhibit| section(name, vec![Example::new(name).with(name, exhibit)]);
    let mut sections: Vec<Section> = each.into_iter().map(one).collect();
    let answer = answered(name, Exhibit::text(name), name, 0.5, &format!("not {name}"));
    sections.push(section(name, vec![answer]));
    sections.push(section(name, vec![continued(name, name, "other")]));
    sections.push(section(name, vec![continued(name, "other", name)]));
    sections
}

#[test]
fn every_kind_of_exhibit_is_shown_and_can_be_read_by_a_machine() {
    let insight = Insight {
        split: "test".into(),
        examples: 3,
        sections: everything("a cat"),
    };
    let page = draw(&record("finished"), &events(), Some(&insight));
    for part in [
        "<figcaption>a cat</figcaption><div class=\"pair\"><div class=\"picture\">",
        "alt=\"a cat\"",
        "<title>1 box</title>",
        "<rect x=\"0\" y=\"0.5\" width=\"1\" height=\"1.5\"",
        "a cat</b> <small>at 50.0&nbsp;%</small></li>",
        "sky <small>50.0 %</small>",
        "no class <small>25.0 %</small>",
        "<audio controls preload=\"metadata\" src=\"data:audio/wav;base64,UklGRg==\">",
        "<small>1.25 s</small>",
        "a cat over a cat, dark 0 to light 5.00",
        "<title>a cat over a cat</title><desc>a cat: from 1.00 to 2.00, at last 1.00. \
         a cat: from 0.500 to 4.00, at last 4.00.</desc>",
        "<span class=\"key line1\">a cat</span>",
        "<th scope=\"col\" class=\"n\">count</th>",
        "<td>a cat</td><td class=\"n\">7</td>",
        "<th scope=\"row\">dog</th>",
        "title=\"1 of 4: a cat taken for dog\">1</td><td class=\"recall\">75.0 %</td>",
        "<ol class=\"frames\">",
        "<ol class=\"labels\"><li><b>a cat</b> <small>at 75.0&nbsp;%</small></li><li><b>a cat</b></li>",
        "<span class=\"token against\" style=\"--share:1.000\" title=\"-0.500 nats\">a cat</span>",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    // Every drawing says what it shows, every picture has words in its place.
    assert_eq!(page.matches("<svg").count(), page.matches("<desc>").count());
    assert_eq!(
        page.matches("<img").count(),
        page.matches(" alt=\"").count()
    );
    assert_eq!(
        page.matches("<table").count() - 1,
        page.matches("<thead>").count()
    );
}

#[test]
fn examples_of_an_older_version_are_left_out_and_the_report_says_so() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("demo-flex-1");
    write(&folder, &record("finished"), &events(), None);
    let older = json!({
        "split": "test", "examples": 3, "classes": null,
        "samples": [{"prompt": "1+1=", "continuation": "2", "temperature": 0.0, "expected": "2"}],
        "saliency": [],
    });
    fs::write(folder.join("insight.json"), older.to_string()).unwrap();
    let page = page(&Folder::read(&folder).unwrap());
    let said = "Left out: insight.json: its examples are in the form of an older version";
    assert!(
        page.contains(said) && page.contains("Loss over steps"),
        "{page}"
    );
}

#[test]
fn numbers_that_do_not_fit_together_are_shown_as_far_as_they_go() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("demo-flex-1");
    write(&folder, &record("finished"), &events(), Some(&insight()));
    let mut run = Folder::read(&folder).unwrap();
    let sections = &mut run.insight.as_mut().unwrap().sections;
    sections[0].examples[0] = confusion(vec!["only".into()], vec![vec![1; 5]; 3]);
    sections[3].examples = vec![
        Example::new("").with("", picture(vec![f32::NAN; 3])),
        Example::new("").with("", text(&["a", "film"], vec![f32::INFINITY])),
    ];
    let odd = page(&run);
    assert!(odd.contains("A matrix of classes of 3 by 1"), "{odd}");
    assert!(odd.contains("<p class=\"text\">a film</p>"), "{odd}");

    let names = (0..30).map(|class| format!("class {class}")).collect();
    let sections = &mut run.insight.as_mut().unwrap().sections;
    sections[0].examples[0] = confusion(names, vec![vec![2; 30]; 30]);
    let page = page(&run);
    assert!(page.contains("Most confused") && !page.contains("class=\"confusion\""));

    // What cannot be read is left out, and said.
    fs::write(folder.join("insight.json"), "{\"split\": 3}").unwrap();
    let page = zoo_report::page(&Folder::read(&folder).unwrap());
    assert!(page.contains("Left out: insight.json: invalid type") && page.contains("<figure>"));
}

#[test]
fn the_report_opens_offline_and_looks_right() {
    let Some(browser) = Browser::find("report") else {
        return;
    };
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("report.html");
    fs::write(
        &file,
        draw(&record("finished"), &events(), Some(&insight())),
    )
    .unwrap();
    let address = format!("file://{}", file.display());
    let page = browser.blank();
    page.media("screen", "light");
    page.goto(&address);
    assert_eq!(page.console_errors(), Vec::<String>::new());
    let elsewhere: Vec<String> = page
        .requests()
        .into_iter()
        .filter(|request| {
            *request != address && !request.starts_with("data:") && request != "about:blank"
        })
        .collect();
    assert_eq!(elsewhere, Vec::<String>::new(), "it asks for nothing");

    let curves = "[...document.querySelectorAll('.charts figure')].map((one) => \
                  one.querySelectorAll('polyline').length > 0 && one.getBoundingClientRect().height > 100)";
    assert_eq!(page.evaluate(curves), json!(vec![true; 5]));
    let pictures = "[...document.images].every((one) => { const { width, height } = \
                    one.getBoundingClientRect(); \
                    return one.complete && one.naturalWidth === 2 && width > 50 && height === width })";
    assert_eq!(page.evaluate(pictures), json!(true));
    // A label must not be cut off by the edge of its drawing.
    let cut = "[...document.querySelectorAll('.chart text')].filter((text) => { \
               const inner = text.getBoundingClientRect(), \
               outer = text.ownerSVGElement.getBoundingClientRect(); \
               return inner.left < outer.left - 1 || inner.right > outer.right + 1 || \
               inner.bottom > outer.bottom + 1 }).map((text) => text.textContent)";
    assert_eq!(page.evaluate(cut), json!([]));

    // Colours: every text stands out from what it stands on, in light and in dark.
    let contrast = "(() => { const rgb = (css) => css.match(/[\\d.]+/g).map(Number); \
        const light = ([r, g, b]) => { const [x, y, z] = [r, g, b].map((c) => { c /= 255; \
        return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4 }); \
        return 0.2126 * x + 0.7152 * y + 0.0722 * z }; \
        const paper = rgb(getComputedStyle(document.body).backgroundColor); \
        const ratio = (css) => { const [a, b] = [light(rgb(css)), light(paper)].sort((p, q) => q - p); \
        return (a + 0.05) / (b + 0.05) }; \
        const of = (query, key) => ratio(getComputedStyle(document.querySelector(query))[key]); \
        return [of('h1', 'color'), of('.soft', 'color'), of('.kept', 'color'), of('.missed', 'color'), \
        of('.chart text', 'fill'), of('.chart [stroke=\"#0A0B01\"]', 'stroke'), \
        of('.chart [stroke=\"#0A0B02\"]', 'stroke')] })()";
    for scheme in ["light", "dark"] {
        page.media("screen", scheme);
        let found = page.evaluate(contrast);
        let ratios: Vec<f64> = found
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one.as_f64().unwrap())
            .collect();
        assert!(
            ratios.iter().all(|ratio| *ratio > 4.4),
            "{scheme}: {ratios:?}"
        );
        page.screenshot(&browser.artefact(&format!("{scheme}.png")));
    }
    page.size(390, 800);
    let width = page.evaluate("document.documentElement.scrollWidth");
    assert_eq!(width, json!(390), "nothing is wider than a phone");
    page.screenshot(&browser.artefact("phone.png"));
    page.size(1000, 800);
    page.media("print", "dark");
    let paper = page.evaluate("getComputedStyle(document.body).backgroundColor");
    assert_eq!(paper, json!("rgb(255, 255, 255)"), "paper is white");
    page.pdf(&browser.artefact("print.pdf"));
}

/// A few megabytes whose page would take gigabytes, or be drawn without end.
#[test]
fn a_page_is_no_larger_than_its_files_can_ask_for() {
    let sound = record("running");
    let metrics = (0..20_000).map(|number| (format!("m{number}"), f64::MAX));
    let mut wild = vec![Event::Validation {
        step: usize::MAX,
        metrics: metrics.collect(),
        best: true,
    }];
    for step in 0..10_000 {
        wild.push(Event::Start {
            recipe: String::new(),
            step: if step % 2 == 0 { 1 } else { usize::MAX - step },
            total_steps: 1,
            steps_per_epoch: 0,
            parameters: 0,
            metrics: Vec::new(),
        });
        wild.push(Event::Step {
            step: if step % 2 == 0 { 1 } else { usize::MAX - step },
            epoch: f64::MAX,
            loss: if step % 3 == 0 { 5e-324 } else { f64::MAX },
            learning_rate: -f64::MAX,
            gradient_norm: if step % 2 == 0 { f64::NAN } else { 1e-320 },
            samples_per_second: 0.0,
        });
    }
    let mut insight = insight();
    let long = "n".repeat(100_000);
    insight.sections[0].examples[0] = confusion(vec![long.clone()], vec![vec![usize::MAX; 50_000]]);
    let page = draw(&sound, &wild, Some(&insight));
    assert!(page.contains("19968 more metrics are not drawn"));
    assert!(page.contains("step 18446744073709551615 of"));
    // A tile for each metric, and drawings of a fixed size.
    assert!(page.len() < 4_000_000, "{}", page.len());
    insight.sections[0].examples[0] = confusion(vec![long; 26], vec![vec![usize::MAX; 26]; 26]);
    let page = draw(&sound, &[], Some(&insight));
    assert!(
        page.contains("Confusion") && page.len() < 500_000,
        "{}",
        page.len()
    );
    // A million small curves.
    let curve = Exhibit::Curve {
        axes: [String::new(), String::new()],
        lines: vec![
            Line {
                name: String::new(),
                points: vec![[0.0, 5e-324], [f64::MAX, f64::MAX], [-f64::MAX, 1.0]],
            };
            8
        ],
    };
    let frames = vec![curve; 10_000];
    insight.sections[0].examples[0] = Example::new("").with("", Exhibit::Frames { frames });
    let page = draw(&sound, &[], Some(&insight));
    assert!(page.contains("exhibits are not shown") && page.contains("2 more curves"));
    assert!(page.len() < 8_000_000, "{}", page.len());
}
