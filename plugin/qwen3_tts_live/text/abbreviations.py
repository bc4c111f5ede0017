"""What a full stop may stand behind without ending a sentence, in ten languages.

Owns the lists and the question that the segmenter asks of them. Knows nothing about how an
abbreviation is said.
"""

from __future__ import annotations

from functools import cache

from qwen3_tts_live.text.languages import AUTO

__all__ = ["Abbreviations", "abbreviations_of"]

# Written as they are looked up: without the last stop, without spaces. An entry with a capital
# matches as it stands ("Sat." is a day, "sat." ends a sentence), any other in either case.

# A name, a word or an example follows: never the end of a sentence.
_BEFORE = {
    "English": """Mr Mrs Ms Mx Messrs Dr Drs Prof Rev Fr Hon Gen Col Capt Cmdr Lt Maj Sgt Cpl
        Adm Gov Sen Rep Pres Supt Amb Mt Ft e.g i.e eg vs viz cf approx esp incl resp aka viz c.f""",
    "German": """Hr Hrn Fr Fa Dr Prof med phil jur rer nat Dipl Ing Mag St Frl z.b d.h u.a i.d.r bzw ca evtl ggf inkl exkl
        vgl insb sog z.t z.zt o.g d.i u.u zzgl abzgl gem lt geb i.a i.v m.e s.o s.u v.a zw bspw""",
    "French": """M MM Mme Mmes Mlle Mlles Me Dr Pr Mgr St Ste Sts cf p.ex c.-à-d càd env vs
        resp bd""",
    "Spanish": """Sr Sra Srta Sres Sras D Da Dña Dr Dra Dres Prof Profa Gral Cnel Lic Ing Arq p.ej
        pej aprox EE AA cf vs Sto Sta Mons Excmo Excma Ilmo Ilma""",
    "Portuguese": """sr sra srta srs sras D Da dr dra drs dras prof profa séc Eng Exmo Exma Ilmo Ilma
        p.ex aprox cf vs Sto Sta Pe Gen Cel Cap""",
    "Italian": """sig sigg sig.ra sigg.ra sig.na dott dott.ssa dr prof prof.ssa avv ing arch
        geom rag On Sen Mons p.es ad.es es cfr vs S Ss ca d.ssa""",
    "Russian": """г-н г-жа гр проф акад доц тов ул пр просп пер пл наб бул б-р д корп стр оф кв обл
        р-н пос дер св т.е т.к т.н напр ср см рис табл гл п пп ст ч тел моб доб ок прим ред инж""",
}
# A number follows, or the word is another one that may well end a sentence.
_BEFORE_NUMBER = {
    "English": """no nos vol vols ch sec fig figs eq eqs p pp art ed para pt Jan Feb Mar Apr Jun Jul
        Aug Sep Sept Oct Nov Dec tel ext rm apt""",
    "German": """nr nrn abs art kap abb tab bd s §§ aufl jh tel Jan Feb Apr Aug Sept Okt Nov Dez
        mind max min std""",
    "French": "n no nos vol chap fig p pp art al éd tél janv févr juil sept oct nov déc",
    "Spanish": "n no núm núms nº pág págs p pp vol cap fig art tel tfno ed s",
    "Portuguese": "n no nº núm pág págs p pp vol cap fig art tel ed s",
    "Italian": "n nn num pag pagg p pp vol cap fig art tel ed s",
    "Russian": """№ стр с гл рис табл тел п ст ч т кн вып янв фев февр апр июн июл авг сен сент
        окт нояб дек""",
}
# Often the last word: the sentence ends if a capital, or a script without any, follows.
_AFTER = {
    "English": """etc a.m p.m am pm LLC et.al al Mon Tue Tues Wed Thu Thur Thurs Fri Sat Sun est misc ibid temp avg""",
    "French": "etc rdv av.j.-c apr.j.-c cie sté",
    "Spanish": "etc a.m p.m a.c d.c Ud Uds Vd Vds s.a s.l ee.uu UU aa.vv",
    "Portuguese": "etc a.m p.m a.c d.c ltda s.a",
    "Italian": "ecc a.c d.c s.p.a s.r.l spa srl",
    "Russian": """т.д т.п др пр г гг в вв н.э руб коп тыс млн млрд трлн мин сек ч час кг км см мм м
        л чел экз""",
}  # fmt: skip
# Part of a name, with which a sentence may end: as after an initial, the next word decides.
_IN_NAME = {
    "English": "Inc Ltd Co Corp Bros Jr Sr Esq St Sts Ave Blvd Rd Dept dept Univ Ph.D M.D B.A M.A",
    # With a capital on every noun, a capital says nothing.
    "German": "Str str Co jr sen e.V Mo Di Mi Do Sa So usw etc u.s.w uvm u.v.m u.ä o.ä v.chr n.chr mio mrd tsd hg",
    "French": "Cie St Ste av bd apr",
    "Spanish": "Cía Jr Avda",
    "Portuguese": "Cia Jr Av",
    "Italian": "Jr sec",
    "Russian": "им г",
}
# Words that begin a sentence and are seldom names: what follows "U.S." or "J." decides by them.
_STARTERS = {
    "English": """A After All Also Although An And Are As At Because Before Both But By Can Did Do
        Does Each Even Every Finally First For From Had Has Have He Her Here His How However I If In
        Is It Its Just Last Let Many Most My No Not Now Of On Once One Only Or Our Over She Since So
        Some Still Such Take That The Their Then There These They This Those Though Thus To Today
        Under Until Was We Were What When Where Which While Who Why Will With Would Yes Yet You
        Your""",
    "German": """Aber Alle Als Am An Auch Auf Aus Bei Bis Da Dabei Dadurch Dafür Damit Danach Dann
        Das Dazu Dem Den Der Des Deshalb Die Dies Diese Dieser Dieses Doch Dort Du Durch Ein Eine
        Einen Einer Er Erst Es Für Heute Hier Ich Ihr Im In Ist Jede Jeder Jetzt Kein Keine Leider
        Man Mein Meine Mit Nach Nein Nicht Noch Nun Nur Ob Oder Ohne Schon Sehr Seit Sie So Sogar
        Trotzdem Über Um Und Unser Unter Viele Vielleicht Vom Von Vor Wann Warum Was Weil Wenn Wer
        Wie Wir Wo Zu Zum Zur Zuerst""",
    "French": """À Alors Après Au Aussi Aux Avant Avec Bien C'est Ce Ces Cet Cette Comme Dans De
        Depuis Des Donc Du Elle Elles En Enfin Ensuite Est Et Il Ils J'ai Je L'un La Là Le Les Leur
        Lorsque Ma Mais Malgré Mon Ne Non Nous On Or Ou Où Oui Par Parce Pas Pendant Plus Pour
        Pourquoi Puis Quand Que Quel Quelle Qui Quoi Sa Sans Se Ses Si Son Sous Sur Tous Tout Très
        Tu Un Une Vers Votre Vous""",
    "Spanish": """A Ahora Al Algunos Allí Antes Aquí Así Aunque Bueno Cada Como Cómo Con Cuando De
        Debe Del Desde Después Donde El Él Ella Ellos En Entonces Es Esa Ese Eso Esta Está Este Esto
        Estos Fue Ha Hay Hoy La Las Le Lo Los Luego Mi Muchos Muy No Nos Nosotros O Para Pero Por
        Porque Primero Pues Que Qué Quién Se Según Si Sí Sin Sobre Son Su Sus También Tiene Todo
        Todos Tu Tú Un Una Unos Usted Y Ya Yo""",
    "Portuguese": """A À Agora Ainda Ao Apesar Após As Assim Até Cada Com Como Da De Depois Do E É
        Ela Elas Ele Eles Em Então Era Essa Esse Esta Está Este Eu Foi Há Hoje Isso Isto Já Lá Mais
        Mas Meu Minha Muito Muitos Na Não No Nós O Onde Os Ou Para Pela Pelo Por Porque Primeiro
        Qual Quando Que Quem Se Segundo Sem Ser Seu Sim Só Sob Sobre Sua Também Tem Todos Tudo Um
        Uma Você Vocês""",
    "Italian": """A Ad Al Alcuni Alla Allora Anche Ancora Avere Bene C'è Che Chi Ci Come Con Cosa
        Così Da Dal Dalla Del Della Di Dopo Dove E È Ed Ecco Era Essi Fu Gli Ha Ho Hanno I Il In
        Infine Infatti Io La Le Lei Lo Loro Lui Ma Mentre Mi Molti Nel Nella No Noi Non Ogni Oggi
        Ora Ossia Per Perché Però Più Poi Prima Può Quale Quando Quanto Quella Quello Questa Questi
        Questo Qui Se Si Sì Solo Sono Su Sul Tutti Tutto Un Una Uno Voi""",
    "Russian": """А Без Был Была Были Было В Вам Вас Весь Во Вот Все Всё Вы Где Да Даже Для До Его
        Её Если Есть Ещё Её За Затем Здесь И Из Или Именно Их К Каждый Как Когда Которые Кто Между
        Мне Многие Может Можно Мой Моя Мы На Наш Не Нет Но Ну О Об Однако Он Она Они Оно От Очень По
        Под После Потом Поэтому При Про С Сегодня Сейчас Со Так Также Там То Тогда Только Ты У Уже
        Хотя Через Что Чтобы Эта Эти Это Этот Я""",
}
_GERMAN_MONTHS = """Jan Januar Jänner Feb Februar März Apr April Mai Juni Juli Aug August Sept
    September Okt Oktober Nov November Dez Dezember"""
# In any language, a word that another one uses as an abbreviation.
_WORDS_ELSEWHERE = """no fig art mar est misc min max ex s n p t m al am pm co sen es av cap ed ch
    spa ok sr pr pt st str bd da d c g ca pp Me On Da Gen Sen"""


def _entries(table: dict[str, str], language: str) -> frozenset[str]:
    if language != AUTO:
        return frozenset(table.get(language, "").split())
    every = frozenset(entry for entries in table.values() for entry in entries.split())
    return every.difference(_WORDS_ELSEWHERE.split())


class Abbreviations:
    """The abbreviations of one language; of all of them, where they agree, for Auto.

    Args:
        language: canonical name, or Auto.
    """

    def __init__(self, language: str) -> None:
        # With Chinese, Japanese and Korean text the Latin words in it are mostly English.
        western = language if language in _STARTERS or language == AUTO else "English"
        self.ordinals_have_stops = language == "German"
        self._before = _entries(_BEFORE, western)
        self._before_number = _entries(_BEFORE_NUMBER, western)
        if language == AUTO:  # a number decides, so that nothing is risked
            self._before_number = frozenset(" ".join(_BEFORE_NUMBER.values()).split())
        self._after = _entries(_AFTER, western)
        self._in_name = _entries(_IN_NAME, western)
        self._before -= self._in_name
        self._starters = _entries(_STARTERS, western)
        self._months = frozenset(_GERMAN_MONTHS.split())

    def is_before(self, token: str) -> bool:
        """Whether what it abbreviates is followed by more of the sentence."""
        return _has(self._before, token)

    def is_before_number(self, token: str) -> bool:
        """Whether it is an abbreviation if a number follows."""
        street = self.ordinals_have_stops and token.endswith(("str", "Str"))
        return street or _has(self._before_number, token)

    def is_after(self, token: str) -> bool:
        """Whether it is an abbreviation that often ends a sentence."""
        return _has(self._after, token)

    def is_in_name(self, token: str) -> bool:
        """Whether it is an abbreviation inside a name or at its end."""
        return _has(self._in_name, token)

    def is_starter(self, word: str) -> bool:
        """Whether `word` begins a sentence much more often than it follows an initial."""
        return word in self._starters

    def is_month(self, word: str) -> bool:
        """Whether it is a German month: "3. Mai" is a date in whatever text it stands."""
        return word in self._months


@cache
def abbreviations_of(language: str) -> Abbreviations:
    """Return the abbreviations of a language, or of Auto."""
    return Abbreviations(language)


def _has(entries: frozenset[str], token: str) -> bool:
    return token in entries or token.lower() in entries
