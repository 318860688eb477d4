//! Exhibits as text for a terminal.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

use zoo_report::terminal::{example, text};
use zoo_train::{Example, Exhibit, Frame, Label, Line, Part, Picture, Unit};

fn ranked(shares: &[(&str, f64)]) -> Exhibit {
    let labels = shares.iter();
    Exhibit::Labels {
        labels: labels
            .map(|(name, share)| Label::likely(*name, *share))
            .collect(),
    }
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn labels_are_listed_as_predict_lists_them() {
    let labels = ranked(&[("tabby", 0.8149), ("tiger cat", 0.12), ("lynx", 0.0)]);
    assert_eq!(text(&labels), "tabby 81.5 %, tiger cat 12.0 %, lynx 0.0 %");
    // A score that is no share, and what is simply so.
    let score = Label {
        unit: Unit::Plain,
        ..Label::likely("stars", 4.256)
    };
    let labels = vec![score, Label::new("good")];
    assert_eq!(text(&Exhibit::Labels { labels }), "stars 4.26, good");
}

#[test]
fn a_text_keeps_its_lines_and_cannot_steer_the_terminal() {
    let pieces = Exhibit::Text {
        pieces: names(&["to be,\n\tor", "\u{1b}[31mnot"]),
        separator: " ".into(),
        values: vec![0.1, 0.2],
    };
    assert_eq!(text(&pieces), "to be,\n\tor  [31mnot");
    let evil = "x\u{1b}[2J\u{202e}\r\n";
    let labels = ranked(&[(evil, 0.5)]);
    assert_eq!(text(&labels), "x [2J 50.0 %");
}

#[test]
fn what_cannot_be_drawn_is_said() {
    let picture = |boxes| Exhibit::Picture {
        picture: Picture {
            png: String::new(),
            size: [28, 32],
        },
        values: Vec::new(),
        boxes,
    };
    assert_eq!(text(&picture(Vec::new())), "a picture of 32 by 28 pixels");
    let boxes = vec![Frame {
        corners: [1.2, 2.0, 9.7, 20.0],
        label: Label::likely("cat", 0.973),
    }];
    assert_eq!(
        text(&picture(boxes)),
        "a picture of 32 by 28 pixels: cat 97.3 % at 1,2 to 10,20"
    );
    let mask = |classes: &[u8]| Exhibit::Mask {
        size: [2, 4],
        classes: classes.to_vec(),
        names: names(&["road", "sky"]),
    };
    assert_eq!(
        text(&mask(&[1, 1, 1, 1, 1, 0, 0, 255])),
        "a mask of 4 by 2 pixels: sky 62.5 %, road 25.0 %, no class 12.5 %"
    );
    assert_eq!(text(&mask(&[1])), "a mask of 4 by 2 pixels");
    let sound = Exhibit::Sound {
        wav: String::new(),
        seconds: 1.284,
    };
    assert_eq!(text(&sound), "a sound of 1.28 s");
    let heat = Exhibit::Heat {
        size: [2, 2],
        values: vec![0.5, f32::NAN, -4.0, 2.0],
        axes: ["time".into(), "frequency".into()],
    };
    assert_eq!(
        text(&heat),
        "frequency over time: 2 by 2 values, -4.00 to 2.00"
    );
    let line = |name: &str, values: &[f64]| Line {
        name: name.into(),
        points: (0..).zip(values).map(|(x, y)| [f64::from(x), *y]).collect(),
    };
    let curve = Exhibit::Curve {
        axes: ["step".into(), "loss".into()],
        lines: vec![line("a", &[2.0, 0.25, 0.5, f64::NAN]), line("b", &[])],
    };
    assert_eq!(
        text(&curve),
        "loss over step: a from 0.250 to 2.00, at last 0.500, b without a number"
    );
}

#[test]
fn tables_stand_in_columns_whatever_the_width_of_letters() {
    let table = Exhibit::Table {
        columns: names(&["word", "times"]),
        rows: vec![names(&["世界", "3"]), names(&["tree", "12"])],
    };
    assert_eq!(text(&table), "word  times\n世界  3\ntree  12");
    let confusion = Exhibit::Confusion {
        names: names(&["cat", "dog"]),
        counts: vec![vec![3, 1], vec![0, 2]],
    };
    assert_eq!(
        text(&confusion),
        "true \\ taken for  cat  dog  recall\n\
         cat               3    1    75.0 %\n\
         dog               0    2    100.0 %"
    );
    let many: Vec<String> = (0..100).map(|class| format!("c{class}")).collect();
    let mut counts = vec![vec![0; 100]; 100];
    let none = Exhibit::Confusion {
        names: many.clone(),
        counts: counts.clone(),
    };
    assert_eq!(text(&none), "100 classes, none confused");
    (counts[3][4], counts[7][1]) = (2, 9);
    let some = Exhibit::Confusion {
        names: many,
        counts,
    };
    assert_eq!(
        text(&some),
        "100 classes: c7 taken for c1 9 times, c3 taken for c4 2 times"
    );
}

#[test]
fn an_example_is_a_line_a_part() {
    let frames = Exhibit::Frames {
        frames: vec![Exhibit::text("x.o"), Exhibit::text("xxo")],
    };
    let whole = Example::new("no. 4")
        .with("", ranked(&[("cat", 0.5)]))
        .with(Part::TRUTH, Exhibit::label("dog"))
        .with("game", frames);
    assert_eq!(
        example(&whole),
        "no. 4\ncat 50.0 %\ntruth: dog\ngame:\n  1: x.o\n  2: xxo"
    );
}
