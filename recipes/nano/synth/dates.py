"""Days, months, dates and units answered directly; held out: wordings."""
from .common import Example, Task, chat, rng_for, upper_first, user
from .wording import trained, vary

DAYS = {"en": "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split(), "zh": "星期一 星期二 星期三 星期四 星期五 星期六 星期日".split()}
MONTHS = {"en": "January February March April May June July August September October November December".split(),
          "zh": "一月 二月 三月 四月 五月 六月 七月 八月 九月 十月 十一月 十二月".split()}
LENGTH = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
COUNT = {"en": "one two three four five six".split(), "zh": "一 两 三 四 五 六".split()}

AFTER = {"en": (["What day comes after {d}?", "Which day follows {d}?", "What is the day after {d}?", "Today is {d}. What day is tomorrow?", "The day after {d}?", "Which day is next after {d}?", "What comes after {d}?", "Tell me the day after {d}.", "If today is {d}, what is tomorrow?", "Yesterday was {d}. What day is today?"],
                ["If today is {d}, which day will tomorrow be?", "After {d} comes which day?"], "{r} comes after {d}."),
         "zh": (["{d}的后一天是星期几？", "{d}之后是星期几？", "今天是{d}，明天是星期几？", "{d}过后是哪一天？", "{d}的第二天是星期几？", "{d}后面是星期几？", "{d}的下一天是星期几？", "昨天是{d}，今天星期几？", "告诉我{d}的后一天。"], ["假如今天{d}，那么明天星期几？", "紧接着{d}的是哪天？"], "{d}的后一天是{r}。")}
BEFORE = {"en": (["What day comes before {d}?", "Which day is before {d}?", "What is the day before {d}?", "Today is {d}. What day was yesterday?", "The day before {d}?", "What comes before {d}?", "Tell me the day before {d}.", "If today is {d}, what was yesterday?", "Tomorrow is {d}. What day is today?"],
                 ["If today is {d}, which day was it yesterday?", "Before {d} comes which day?"], "{r} comes before {d}."),
          "zh": (["{d}的前一天是星期几？", "{d}之前是星期几？", "今天是{d}，昨天是星期几？", "{d}前面是哪一天？", "{d}的头一天是星期几？", "{d}的上一天是星期几？", "明天是{d}，今天星期几？", "告诉我{d}的前一天。", "在{d}之前的是星期几？"], ["假如今天{d}，那么昨天星期几？", "紧挨在{d}前面的是哪天？"], "{d}的前一天是{r}。")}
AHEAD = {"en": (["Today is {d}. What day is it in {n} days?", "What day is {n} days after {d}?", "Which day is it {n} days after {d}?", "{n} days after {d}?", "It is {d}. Which day will it be in {n} days?", "{d} plus {n} days?", "If today is {d}, what day is it in {n} days?", "Tell me the day {n} days after {d}.", "In {n} days from {d}, which day is it?"],
                ["If it is {d} now, what day will it be {n} days later?", "Count {n} days on from {d}."], "{n} days after {d} is {r}."),
         "zh": (["今天是{d}，{n}天后是星期几？", "{d}之后{n}天是星期几？", "{d}再过{n}天是星期几？", "从{d}起{n}天后是哪天？", "{d}过{n}天是周几？", "{d}加{n}天是星期几？", "如果今天是{d}，{n}天后星期几？", "{d}的{n}天以后是星期几？", "{n}天前是{d}，今天星期几？"], ["假如现在是{d}，过{n}天星期几？", "从{d}往后数{n}天。"], "{d}的{n}天后是{r}。")}
MONTH_AFTER = {"en": (["Which month comes after {d}?", "What month follows {d}?", "What is the month after {d}?", "The month after {d}?", "Which month is next after {d}?", "What comes after {d}?", "Tell me the month after {d}.", "This month is {d}. What is the next month?", "Which is the next month after {d}?"],
                      ["If it is {d} now, which month is next?", "After {d} comes which month?"], "{r} comes after {d}."),
               "zh": (["{d}之后是几月？", "{d}的下一个月是几月？", "{d}过后是哪个月？", "现在是{d}，下个月是几月？", "{d}后面是哪个月份？", "{d}的下个月是什么？", "这个月是{d}，下个月呢？", "告诉我{d}的下一个月。", "{d}接下来是几月？"], ["假如现在{d}，下月是几月？", "紧接着{d}的是哪个月？"], "{d}之后是{r}。")}
MONTH_BEFORE = {"en": (["Which month comes before {d}?", "What month is before {d}?", "What is the month before {d}?", "The month before {d}?", "Which month precedes {d}?", "What comes before {d}?", "Tell me the month before {d}.", "This month is {d}. What was the last month?", "Which is the month just before {d}?"],
                       ["If it is {d} now, which month was last?", "Before {d} comes which month?"], "{r} comes before {d}."),
                "zh": (["{d}之前是几月？", "{d}的上一个月是几月？", "{d}前面是哪个月？", "现在是{d}，上个月是几月？", "{d}的前一个月份是什么？", "{d}的前一个月是几月？", "这个月是{d}，上个月呢？", "告诉我{d}的上一个月。", "在{d}之前的是几月？"], ["假如现在{d}，上月是几月？", "紧挨在{d}前面的是哪个月？"], "{d}之前是{r}。")}
MONTH_DAYS = {"en": (["How many days does {d} have?", "How many days are in {d}?", "How long is {d}?", "Days in {d}?", "Number of days in {d}?", "How many days long is {d}?", "What is the number of days in {d}?", "Tell me how many days {d} has.", "The month of {d} has how many days?"],
                     ["{d} has how many days?", "Could you say how many days {d} lasts?"], "{d} has {r} days."),
              "zh": (["{d}有多少天？", "{d}有几天？", "{d}一共多少天？", "{d}的天数是多少？", "{d}是多少天？", "{d}这个月有几天？", "告诉我{d}有多少天。", "{d}共有几天？", "{d}里有多少天？"], ["在{d}里共有几天？", "请说{d}有多少日子。"], "{d}有{r}天。")}
MONTH_NUMBER = {"en": (["Which month of the year is {d}?", "What number is {d} among the months?", "{d} is which month of the year?", "Which number does {d} have?", "Is {d} the first, second or which month?", "What is the number of the month {d}?", "Write {d} as a number."],
                       ["Counting from January, which month is {d}?", "Could you say the number of the month {d}?"], "{d} is month {r}."),
                "zh": ([], [], "")}
NEXT_DATE = {"en": (["What date comes after {d}?", "What is the day after {d}?", "Which date follows {d}?", "Today is {d}. What is tomorrow's date?", "The next day after {d}?", "What comes after {d}?", "Tell me the date after {d}.", "What is the next date after {d}?", "Yesterday was {d}. What is the date today?"],
                    ["If today is {d}, what will the date be tomorrow?", "After {d} comes which date?"], "The day after {d} is {r}."),
             "zh": (["{d}的第二天是几月几日？", "{d}之后是几月几日？", "今天是{d}，明天是几月几日？", "{d}的后一天是几号？", "{d}过后是哪一天？", "{d}的下一天是几月几日？", "昨天是{d}，今天几号？", "告诉我{d}的后一天。", "{d}后面一天是几号？"], ["假如今天{d}，明天是几月几号？", "紧接着{d}的日期是什么？"], "{d}的第二天是{r}。")}
LEAP = {"en": (["Is {d} a leap year?", "Was {d} a leap year?", "Does {d} have a February 29?", "Is the year {d} a leap year?", "{d}: leap year or not?", "Will {d} be a leap year?", "Do you know if {d} is a leap year?", "Has {d} one day more than other years?", "Does February {d} have 29 days?"],
               ["Did {d} have 366 days?", "Tell me if {d} is a leap year."], None),
        "zh": (["{d}年是闰年吗？", "{d}年是不是闰年？", "{d}年有2月29日吗？", "{d}是闰年还是平年？", "{d}年是闰年不？", "{d}年算闰年吗？", "{d}年的二月有29天吗？", "{d}年多一天吗？", "告诉我{d}年是不是闰年。"], ["{d}年有366天吗？", "请判断{d}年是否闰年。"], None)}
UNIT = {"en": (["How many {u} are {n} {v}?", "How many {u} are there in {n} {v}?", "Convert {n} {v} to {u}.", "{n} {v} in {u}?", "What is {n} {v} in {u}?", "How much is {n} {v} in {u}?", "{n} {v} are how many {u}?", "Change {n} {v} into {u}.", "Give me {n} {v} in {u}.", "{n} {v} to {u}"],
               ["{n} {v} make how many {u}?", "Please express {n} {v} in {u}."], "{n} {v} = {r} {u}."),
        "zh": (["{n}{v}是多少{u}？", "{n}{v}等于多少{u}？", "把{n}{v}换算成{u}。", "{n}{v}有多少{u}？", "{n}{v}换成{u}是多少？", "{n}{v}是几{u}？", "{n}{v}合多少{u}？", "把{n}{v}变成{u}。", "{n}{v}折合多少{u}？"], ["{n}{v}相当于几{u}？", "请用{u}表示{n}{v}。"], "{n}{v} = {r}{u}。")}
FORMS = {"AFTER": AFTER, "BEFORE": BEFORE, "AHEAD": AHEAD, "MONTH_AFTER": MONTH_AFTER, "MONTH_BEFORE": MONTH_BEFORE,
         "MONTH_DAYS": MONTH_DAYS, "MONTH_NUMBER": MONTH_NUMBER, "NEXT_DATE": NEXT_DATE, "LEAP": LEAP, "UNIT": UNIT}
# small unit, large unit, one large unit, factor, the largest number of large units asked for, Chinese names
UNITS = [("metres", "kilometres", "kilometre", 1000, 99, "米", "公里"), ("centimetres", "metres", "metre", 100, 99, "厘米", "米"), ("millimetres", "centimetres", "centimetre", 10, 99, "毫米", "厘米"),
         ("millimetres", "metres", "metre", 1000, 99, "毫米", "米"), ("grams", "kilograms", "kilogram", 1000, 99, "克", "千克"), ("kilograms", "tonnes", "tonne", 1000, 99, "千克", "吨"),
         ("millilitres", "litres", "litre", 1000, 99, "毫升", "升"), ("cents", "euros", "euro", 100, 99, "欧分", "欧元"), ("years", "centuries", "century", 100, 50, "年", "世纪"),
         ("seconds", "minutes", "minute", 60, 12, "秒", "分钟"), ("minutes", "hours", "hour", 60, 12, "分钟", "小时"),
         ("hours", "days", "day", 24, 7, "小时", "天"), ("days", "weeks", "week", 7, 12, "天", "周"), ("months", "years", "year", 12, 12, "个月", "年")]
FIXED = {"en": [(["How many days are in a week?", "How many days does a week have?", "Days in a week?", "A week has how many days?", "Number of days in a week?"], ["Of how many days is a week made?"], "A week has 7 days."),
                (["How many months are in a year?", "How many months does a year have?", "Months in a year?", "A year has how many months?"], ["Of how many months is a year made?"], "A year has 12 months."),
                (["How many days are in a year?", "How many days does a year have?", "Days in a year?", "How long is a year in days?"], ["Of how many days is a year made?"], "A year has 365 days, a leap year 366."),
                (["What are the days of the week?", "Name the days of the week.", "List the weekdays.", "Which days does a week have?"], ["Say all seven days of the week."], "Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday."),
                (["What are the months of the year?", "Name the months.", "List the months of the year.", "Which months are there?"], ["Say all twelve months."], "January, February, March, April, May, June, July, August, September, October, November, December."),
                (["What are the four seasons?", "Name the seasons.", "List the seasons of the year.", "Which seasons are there?"], ["Say all the seasons."], "Spring, summer, autumn and winter.")],
         "zh": [(["一周有几天？", "一个星期有多少天？", "一周多少天？", "一星期几天？"], ["一周由几天组成？"], "一周有7天。"), (["一年有几个月？", "一年有多少个月？", "一年几个月？"], ["一年由几个月组成？"], "一年有12个月。"),
                (["一年有多少天？", "一年有几天？", "一年多少天？"], ["一年由多少天组成？"], "一年有365天，闰年有366天。"), (["一周有哪几天？", "说出一周的每一天。", "列出星期的名称。"], ["把一周七天都说出来。"], "星期一、星期二、星期三、星期四、星期五、星期六、星期日。"),
                (["一年有哪些月份？", "说出所有月份。", "列出十二个月。"], ["把一年的月份都说出来。"], "一月、二月、三月、四月、五月、六月、七月、八月、九月、十月、十一月、十二月。"),
                (["一年有哪四季？", "四季是什么？", "说出四个季节。", "一年有哪几个季节？"], ["把季节都说出来。"], "春、夏、秋、冬。")]}


def ring(names, step):
    return [(n, names[(i + step) % len(names)]) for i, n in enumerate(names)]


def wordings(kind, language, split):
    return FORMS[kind][language][1] if split else trained(f"{kind}.{language}", FORMS[kind][language][0])


def calendar_items(language):
    """(kind of FORMS, values) of everything that is a closed list."""
    days, months = DAYS[language], MONTHS[language]
    for d, r in ring(days, 1):
        yield "AFTER", {"d": d, "r": r}
    for d, r in ring(days, -1):
        yield "BEFORE", {"d": d, "r": r}
    for n in range(2, 7):
        for d, r in ring(days, n):
            yield "AHEAD", {"d": d, "r": r, "n": n}
    for d, r in ring(months, 1):
        yield "MONTH_AFTER", {"d": d, "r": r}
    for d, r in ring(months, -1):
        yield "MONTH_BEFORE", {"d": d, "r": r}
    for i, d in enumerate(months):
        yield "MONTH_DAYS", {"d": d, "r": LENGTH[i] if i != 1 else ("28 or 29" if language == "en" else "28或29")}
        if language == "en":
            yield "MONTH_NUMBER", {"d": d, "r": i + 1}


def leap_answer(year, language):
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    if language == "en":
        return f"Yes, {year} is a leap year." if leap else f"No, {year} is not a leap year."
    return f"是的，{year}年是闰年。" if leap else f"不，{year}年不是闰年。"


def next_date(rng, language):
    month = rng.randrange(12)
    day = LENGTH[month] if rng.random() < 0.3 else rng.randint(1, LENGTH[month])
    if (month, day) == (1, 28):
        day = 27
    after = (month, day + 1) if day < LENGTH[month] else ((month + 1) % 12, 1)
    if language == "zh":
        return {"d": f"{month + 1}月{day}日", "r": f"{after[0] + 1}月{after[1]}日"}
    name = MONTHS["en"]
    return {"d": f"{name[month]} {day}", "r": f"{name[after[0]]} {after[1]}"}


def unit_values(rng, language):
    small, large, one, factor, most, small_zh, large_zh = rng.choice(UNITS)
    down = rng.random() < 0.7
    n = rng.randint(1, most)
    if language == "zh":
        u, v = (small_zh, large_zh) if down else (large_zh, small_zh)
    else:
        u, v = (small, one if n == 1 else large) if down else (large, small)
        if not down and n == 1:
            u = large
    return {"u": u, "v": v, "n": n if down else n * factor, "r": n * factor if down else n}


def one(rng, language, split):
    """(question, answer)."""
    draw = rng.random()
    if draw < 0.35:
        kind, values = rng.choice(list(calendar_items(language)))
    elif draw < 0.5:
        kind, values = "NEXT_DATE", next_date(rng, language)
    elif draw < 0.6:
        year = rng.randint(1890, 2110) if rng.random() < 0.8 else rng.choice((1600, 1700, 1800, 1900, 2000, 2100))
        return rng.choice(wordings("LEAP", language, split)).format(d=year), leap_answer(year, language)
    elif draw < 0.95:
        kind, values = "UNIT", unit_values(rng, language)
    else:
        index = rng.choice(range(len(FIXED[language])))
        plain, unseen, answer = FIXED[language][index]
        return rng.choice(unseen if split else trained(f"FIXED{index}.{language}", plain)), answer
    if not FORMS[kind][language][0]:
        return one(rng, language, split)
    return upper_first(rng.choice(wordings(kind, language, split)).format(**values)), FORMS[kind][language][2].format(**values)


def train(shard, count):
    rng = rng_for("dates", shard)
    for _ in range(count):
        language = rng.choice(("en", "zh"))
        question, answer = one(rng, language, 0)
        yield Example("dates", language, chat(vary(rng, question, language), answer))


def tasks():
    for language in ("en", "zh"):
        rng = rng_for("dates", "eval", language)
        seen = set()
        while len(seen) < 150:
            question, answer = one(rng, language, 1)
            if question not in seen:
                seen.add(question)
                yield Task("dates", language, [user(question)], [answer], "equal")
