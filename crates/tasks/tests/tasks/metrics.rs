//! The metrics of the fields, held against their own libraries: `golden/*.json`, made by the scripts
//! beside them. 1e-12 is sums of doubles in another order.

use serde_json::Value;
use zoo_tasks::metrics::iou::Confusion;
use zoo_tasks::metrics::regression::Regression;

const IOU: &str = include_str!("golden/iou.json");
const REGRESSION: &str = include_str!("golden/regression.json");

fn cases(golden: &str) -> (Value, Vec<Value>) {
    let golden: Value = serde_json::from_str(golden).unwrap();
    let cases = golden["cases"].as_array().unwrap().clone();
    assert!(cases.len() >= 10, "{} cases", cases.len());
    (golden, cases)
}

#[track_caller]
fn assert_near(found: Option<f64>, expected: &Value, what: &str) {
    match (found, expected.as_f64()) {
        (None, None) => {}
        // Sums of squares far above one have fewer digits behind the point.
        (Some(a), Some(b)) if (a - b).abs() <= 1e-12 * b.abs().max(1.0) => {}
        (found, expected) => panic!("{what}: found {found:?}, expected {expected:?}"),
    }
}

fn numbers(value: &Value) -> Vec<usize> {
    let values = value.as_array().unwrap().iter();
    values
        .map(|value| value.as_u64().unwrap() as usize)
        .collect()
}

#[test]
fn intersection_over_union_is_torchmetrics_and_scikit_learns() {
    let (golden, cases) = cases(IOU);
    let void = golden["void"].as_u64().unwrap() as usize;
    for case in cases {
        let name = case["name"].as_str().unwrap();
        let classes = case["classes"].as_u64().unwrap() as usize;
        let truth = numbers(&case["truth"])
            .into_iter()
            .map(|t| (t != void).then_some(t));
        let pixels: Vec<_> = truth.zip(numbers(&case["answered"])).collect();
        let mut confusion = Confusion::new(classes);
        // In two batches, since the metric is of the whole split.
        let (first, second) = pixels.split_at(pixels.len() / 3);
        confusion.add(first.iter().copied());
        confusion.add(second.iter().copied());

        assert_near(confusion.mean_iou(), &case["mean_iou"], name);
        assert_near(confusion.pixel_accuracy(), &case["pixel_accuracy"], name);
        let by_class = case["iou"].as_array().unwrap();
        assert_eq!(by_class.len(), classes, "{name}");
        for (class, (found, expected)) in confusion.iou().iter().zip(by_class).enumerate() {
            // scikit-learn has a zero for a class that does not occur, where we have none.
            let found = found.or(Some(0.0));
            assert_near(found, expected, &format!("{name}, class {class}"));
        }
    }
}

#[test]
fn classes_that_do_not_occur_are_told_from_classes_that_are_missed() {
    let mut confusion = Confusion::new(3);
    confusion.add([(Some(0), 0), (Some(1), 0), (None, 2)]);
    assert_eq!(confusion.iou(), [Some(0.5), Some(0.0), None]);
    assert_eq!(confusion.rows(), [[1, 0, 0], [1, 0, 0], [0, 0, 0]]);
    assert_eq!(confusion.mean_iou(), Some(0.25));
}

#[test]
#[should_panic(expected = "class 3 of 3")]
fn an_answer_beyond_the_classes_is_a_mistake() {
    Confusion::new(3).add([(Some(1), 3)]);
}

#[test]
fn errors_of_numbers_are_scikit_learns() {
    for case in cases(REGRESSION).1 {
        let name = case["name"].as_str().unwrap();
        let rows =
            |key: &str| -> Vec<Vec<f32>> { serde_json::from_value(case[key].clone()).unwrap() };
        let (answered, truth) = (rows("answered"), rows("truth"));
        let mut regression = Regression::new(truth[0].len());
        for (answered, truth) in answered.iter().zip(&truth) {
            regression.add(answered, truth);
        }
        let found = [
            ("mse", regression.mse()),
            ("rmse", regression.rmse()),
            ("mae", regression.mae()),
            ("r2", regression.r2()),
        ];
        for (metric, found) in found {
            assert_near(found, &case[metric], &format!("{name}: {metric}"));
        }
    }
}

#[test]
fn of_no_example_there_is_no_error() {
    let none = Regression::new(2);
    assert_eq!([none.mse(), none.rmse(), none.mae(), none.r2()], [None; 4]);
}
