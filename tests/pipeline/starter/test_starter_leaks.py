"""Leaks that were planted are found, and what only looks like one is not."""

import numpy as np
import pandas as pd


def log_and_users(aggregate):
    """A log of two periods; `aggregate(rates of the first, of the second)` is a column of the users. The
    recipe is started from the second."""
    random = np.random.default_rng(2)
    users, rows = 150, 6_000
    rate = random.beta(2, 5, users)

    def period():
        user = random.integers(0, users, rows)
        return pd.DataFrame({"user_id": user, "item_id": random.integers(0, 50, rows)}).assign(
            clicked=(random.random(rows) < rate[user]).astype(int)
        )

    before, log = period(), period()
    means = [part.groupby("user_id").clicked.mean().reindex(range(users)).fillna(0) for part in (before, log)]
    users_table = pd.DataFrame({"user_id": range(users), "history": aggregate(*means, random)})
    return {"log": log, "users": users_table}


def leaks(found):
    return [leak.field.name for leak in found.draft.leaks]


def test_mean_of_the_log_itself(begin):
    found = begin(**log_and_users(lambda before, own, random: own))
    assert leaks(found) == ["history"]
    assert "is the mean of clicked over the log's own rows" in found.draft.leaks[0].why
    assert found.recipe.columns["history"].known == "after" and "history" not in found.recipe.features


def test_mean_of_the_log_itself_smoothed_and_noised(begin):
    def aggregate(before, own, random):
        return np.round(0.8 * own + 0.05 + random.normal(0, 0.01, len(own)), 4)

    found = begin(**log_and_users(aggregate))
    assert leaks(found) == ["history"] and "correlates" in found.draft.leaks[0].why


def test_mean_of_an_earlier_period_is_a_feature(begin):
    found = begin(**log_and_users(lambda before, own, random: before))
    assert leaks(found) == []
    assert found.recipe.columns["history"].known == "before" and "history" in found.recipe.features


def test_count_of_the_log_itself(begin):
    tables = log_and_users(lambda before, own, random: own)
    counts = tables["log"].groupby("user_id").size().reindex(range(150)).fillna(0).astype(int)
    tables["users"] = pd.DataFrame({"user_id": range(150), "shown_30d": counts})
    found = begin(**tables)
    assert leaks(found) == ["shown_30d"] and "number of the log's own rows" in found.draft.leaks[0].why


def test_columns_of_the_log_that_tell(begin):
    random = np.random.default_rng(4)
    rows = 4_000
    bought = (random.random(rows) < 0.2).astype(int)
    log = pd.DataFrame(
        {
            "user_id": random.integers(0, 100, rows),
            "mood": random.normal(0, 1, rows) + 0.8 * bought,  # a good feature, and no more
            "basket": np.where(bought == 1, random.integers(1, 9, rows), np.nan),
            "points": random.normal(0, 1, rows) + 4 * bought,
            "colour": random.choice(["red", "blue"], rows),
            "note": np.where(bought == 1, "thanks", random.choice(["later", "bye"], rows)),
            "bought": bought,
        }
    )
    found = begin(log=log)
    assert set(leaks(found)) == {"points", "note"}
    assert found.recipe.columns["basket"].known == "after"
    assert {"mood", "colour"} <= found.recipe.features.keys()
    assert not {"points", "note", "basket"} & found.recipe.features.keys()
    assert any("points" in warning and "AUC" in warning for warning in found.warnings)
    assert found.text.count("}  # leak:") == 2


def test_a_catalog_written_after_the_impressions(begin, shop):
    customers = shop["customers"].assign(
        last_seen=pd.to_datetime("2023-11-20") + pd.to_timedelta(np.arange(300) % 30, "D")
    )
    found = begin(log=shop["log"], customers=customers)
    assert leaks(found) == ["last_seen"] and "after the impression" in found.draft.leaks[0].why
    assert "joined_age" in found.recipe.features and "last_seen_age" not in found.recipe.features
