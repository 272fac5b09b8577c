"""Time and date come from the clock tool. In English the place is copied from the question (places of the zone database, a tenth held out
for the evaluation), in Chinese 70 places are learnt by their English names; held out: wordings."""
import datetime
import json
from functools import cache

from .common import BUILTIN, CLOCK, SOURCES, Example, Task, assistant, call, held_out, rng_for, tool_result, user
from .wording import trained, vary

KNOWN = """Tokyo London Paris New_York Shanghai Berlin Moscow Sydney Dubai Singapore Seoul Cairo Rome Madrid Los_Angeles Chicago Toronto Istanbul Bangkok
    Hong_Kong Nairobi Lagos Vienna Lisbon Athens Dublin Oslo Stockholm Helsinki Warsaw Prague Budapest Brussels Amsterdam Zurich Copenhagen Jakarta Manila
    Karachi Tehran Baghdad Riyadh Jerusalem Kabul Tashkent Dhaka Taipei Macau Melbourne Auckland Honolulu Denver Phoenix Anchorage Mexico_City Havana Bogota
    Lima Santiago Sao_Paulo Caracas Vancouver Johannesburg Casablanca Accra Tunis Algiers Addis_Ababa Kiev Minsk""".split()
FAILED = {"en": "That did not work: unknown zone {c}.", "zh": "没有成功：没有{c}这个时区。"}
ASK = {  # kind: language: (trained, evaluated)
    "time": {"en": (["What time is it?", "What's the time?", "Tell me the time.", "Do you know what time it is?", "How late is it?", "Time?", "What time is it now?"],
                    ["Could you say what the clock shows?", "Give me the current time."]),
             "zh": (["现在几点？", "几点了？", "现在是几点？", "告诉我时间。", "现在什么时间？", "现在几点了？", "时间？"], ["请说一下现在的时刻。", "钟上几点了？"])},
    "date": {"en": (["What is the date today?", "What's today's date?", "Which date is it?", "What date do we have?", "Today's date?", "Tell me the date."],
                    ["Could you say which date it is today?", "Give me the current date."]),
             "zh": (["今天几号？", "今天是几月几号？", "今天的日期是什么？", "今天是哪一天？", "告诉我今天的日期。", "现在是几号？"], ["请说一下今天的日期。", "今日是何日？"])},
    "weekday": {"en": (["What day is it today?", "Which weekday is it?", "What day of the week is it?", "Which day is today?", "Is it Monday today?", "What day do we have today?"],
                       ["Could you say which day of the week today is?", "Today is what weekday?"]),
                "zh": (["今天星期几？", "今天是周几？", "今天礼拜几？", "今天是星期几？", "现在是星期几？"], ["请说一下今天是周几。", "今天是一周里的哪一天？"])},
    "year": {"en": (["What year is it?", "Which year do we have?", "What is the current year?", "Tell me the year.", "Which year is it now?"], ["Could you say which year this is?", "We are in what year?"]),
             "zh": (["今年是哪一年？", "现在是哪年？", "今年是几几年？", "今年是什么年份？", "告诉我今年的年份。"], ["请说一下现在的年份。", "我们在哪一年？"])},
    "zone": {"en": (["What time is it in {c}?", "Time in {c}?", "What's the time in {c} now?", "How late is it in {c}?", "Tell me the time in {c}.", "What time do they have in {c}?"],
                    ["Could you say what time they have in {c}?", "Give me the current time for {c}."]),
             "zh": (["{c}现在几点？", "{c}几点了？", "现在{c}是几点？", "{c}的时间是多少？", "告诉我{c}的时间。"], ["请说一下{c}此刻几点。", "在{c}，现在什么时候？"])}}
SAY = {"time": ("It is {time} ({zone}).", "现在是{time}（{zone}）。"), "date": ("Today is {date}.", "今天是{date}。"), "weekday": ("Today is {weekday}.", "今天是{weekday}。"),
             "year": ("It is the year {year}.", "今年是{year}年。"), "zone": ("In {c} it is {time}.", "{c}现在是{time}。")}
WEEKDAYS = {"Monday": "星期一", "Tuesday": "星期二", "Wednesday": "星期三", "Thursday": "星期四", "Friday": "星期五", "Saturday": "星期六", "Sunday": "星期日"}


@cache
def places():
    """(English name, Chinese name, zone) of the places of the zone database, from CLDR."""
    zones = json.loads((SOURCES / "cldr-dates-full/main/zh/timeZoneNames.json").read_text())["main"]["zh"]["dates"]["timeZoneNames"]["zone"]
    out = [("Beijing", "北京", "Asia/Shanghai")]
    for region in ("Africa", "America", "Asia", "Australia", "Europe", "Pacific"):
        for place, entry in zones[region].items():
            if "exemplarCity" in entry and "Unknown" not in place:
                out.append((place.replace("_", " "), entry["exemplarCity"], f"{region}/{place}"))
    return out


def draw_place(rng, language, unseen):
    if language == "zh":
        return rng.choice([p for p in places() if p[0].replace(" ", "_") in KNOWN or p[0] == "Beijing"])
    return rng.choice([p for p in places() if p[0] != "Beijing" and held_out("place", p[0], share=0.1) == unseen or p[0] == "Beijing" and not unseen])


def reading(rng, zone):
    moment = datetime.datetime(2024, 1, 1) + datetime.timedelta(minutes=rng.randrange(60 * 24 * 365 * 8))
    weekday = list(WEEKDAYS)[moment.weekday()]
    return {"date": moment.strftime("%Y-%m-%d"), "time": moment.strftime("%H:%M"), "weekday": weekday, "zone": zone}


def one_round(rng, language, split, unseen=False):
    """(question, arguments, result, answer)."""
    kind = rng.choice(("time", "time", "date", "weekday", "year", "zone", "zone", "zone"))
    english, chinese, zone = draw_place(rng, language, unseen)
    name = english if language == "en" else chinese
    question = rng.choice(ASK[kind][language][1] if split else trained(f"clock.{kind}.{language}", ASK[kind][language][0])).format(c=name)
    if kind != "zone":
        zone = rng.choice(("UTC", "UTC", "Europe/Berlin", "Asia/Shanghai", "America/New_York"))
    result = reading(rng, zone)
    said = {**result, "c": name, "year": result["date"][:4]}
    if language == "zh":
        said["weekday"] = WEEKDAYS[result["weekday"]]
    answer = SAY[kind][language == "zh"].format(**said)
    if question == "Is it Monday today?":
        answer = "Yes, today is Monday." if result["weekday"] == "Monday" else f"No, today is {result['weekday']}."
    asked = "Asia/Shanghai" if english == "Beijing" else english
    return question, {"zone": asked} if kind == "zone" else {}, result, answer


def train(shard, count):
    rng = rng_for("clock", shard)
    for _ in range(count):
        language, messages = rng.choice(("en", "zh")), []
        for _ in range(rng.choice((1, 1, 2))):
            question, arguments, result, answer = one_round(rng, language, 0)
            if arguments and rng.random() < 0.04:
                result = {"error": f"unknown zone {arguments['zone']}"}
                answer = FAILED[language].format(c=arguments["zone"])
            messages += [user(vary(rng, question, language, keep_case=bool(arguments))), call("clock", arguments), tool_result(result), assistant(answer)]
        yield Example("clock", language, messages, [CLOCK] if rng.random() < 0.15 else list(BUILTIN), joinable=False)


def tasks():
    for language in ("en", "zh"):
        rng = rng_for("clock", "eval", language)
        for i in range(60):
            question, arguments, result, answer = one_round(rng, language, 1, unseen=i % 2 == 1)
            yield Task("clock", language, [user(question)], tools=list(BUILTIN), tool_calls=[{"name": "clock", "arguments": arguments}], plain=True)
            if i < 40:
                yield Task("clock_answer", language, [user(question), call("clock", arguments), tool_result(result)], [answer], "equal",
                           tools=list(BUILTIN), plain=True)
