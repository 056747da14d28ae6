"""The frames that events, details and plans are set into; those of joy differ from those of sorrow.

{t} when it was · {e} the event's 아/어 form · {p} its past stem · {f} the feeling, finished · {m} the mirrored event
{s} the feeling's stem less 시 · {q} a question · {d} what is told · {a} what it is mirrored as · {c} what is answered
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Style:
    """The frames of one mood, in the order of a dialogue."""

    past: tuple[str, ...]
    lasting: tuple[str, ...]
    felt: tuple[str, ...]
    telling: str
    heard: tuple[str, ...]
    cheered: str


WHEN = "[어제|오늘|얼마 전에|지난주에|며칠 전에|며칠 전|]"
LATELY = "[요즘|요새|요즈음|한동안|]"
ASK_MORE = "[[조금|좀] 더 [자세히|편하게] [말씀해|이야기해|들려] 주시겠어요?|어떤 점이 가장 마음에 남으세요?]"
PLANNING = "[음,|그럼|우선|일단|] {d}"

_PAST = ("{t} {p}어~. {f}.", "{t} {e}서 {f}.", "{t} {p}는데 {f}.", "{f}. {t} {p}거든~.")
_LASTING = ("{t} {e}~. {f}.", "{t} {e}서 {f}.", "{f}. {t} {e}서 그래~.")

SORROW = Style(
    past=(*_PAST, "[있잖아~,|저기~,|휴,] {t} {p}어~. [그래서|그 뒤로] {f}."),
    lasting=(*_LASTING, "[있잖아~,|저기~,|휴,] {t} {e}~. [그래서|이러다 보니] {f}."),
    felt=(
        "{m}군요. [정말|당연히|] {s}시겠어요. {q}",
        "{m}다니 [정말|당연히|] {s}시겠어요. {q}",
        "{m}네요. 얼마나 {s}셨을지 [짐작이 가요|느껴져요|알 것 같아요]. {q}",
        "{s}실 만해요. {m}으니까요. {q}",
        "{m}으니 [정말|당연히|] {s}실 것 같아요. {q}",
        "말씀을 들으니 얼마나 {s}셨을지 [느껴져요|알 것 같아요]. {m}군요. {q}",
        "{m}군요. [그런 일이라면|그럴 때는] {s}실 만해요. {q}",
    ),
    telling="[글쎄~,|사실|아무래도|] {d} [그래서 더 힘들어~.|그게 제일 마음에 걸려~.||||]",
    heard=(
        "{a}군요. {q}",
        "{a}네요. [충분히 이해가 돼요.|그 마음 이해해요.|쉽지 않으셨죠.|] {q}",
        "{a}다니 마음이 [무거우셨겠어요|아프네요]. {q}",
        "[그렇군요.|그러셨군요.] {a}네요. {q}",
    ),
    cheered="[좋은 생각이에요.|참 잘 생각하셨어요.|그것참 좋네요.|] {c} "
    "[응원할게요.|천천히 해 보세요.|언제든 다시 이야기해 주세요.||]",
)

JOY = Style(
    past=(*_PAST, "[있잖아~,|와,|들어 봐~.] {t} {p}어~. [그래서|덕분에] {f}."),
    lasting=_LASTING,
    felt=(
        "{m}군요. [정말|참으로|] {s}시겠어요. {q}",
        "{m}다니 [정말|참으로|] {s}시겠어요. {q}",
        "[와,|] {m}네요. [축하드려요.|저도 기뻐요.|정말 잘됐어요.] {q}",
        "{m}다니 [축하드려요|잘됐네요]. 얼마나 {s}셨을지 [느껴져요|알 것 같아요]. {q}",
        "{m}으니 정말 {s}실 것 같아요. {q}",
    ),
    telling="[글쎄~,|사실|맞아~.|] {d} [지금도 꿈만 같아~.|생각할수록 좋아~.||||]",
    heard=(
        "{a}군요. {q}",
        "{a}네요. [정말 멋져요.|듣기만 해도 흐뭇해요.|] {q}",
        "{a}다니 [대단하세요|저까지 기뻐요]. {q}",
        "[그렇군요.|그러셨군요.] {a}네요. {q}",
    ),
    cheered="[좋은 생각이에요.|멋진 계획이에요.|듣기만 해도 즐거워요.|] {c} [저도 함께 기뻐할게요.|늘 응원할게요.||]",
)
