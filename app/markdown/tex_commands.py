"""What flutter_math_fork draws, as Flet 1.0.5 carries it: every command was drawn in the window, one by one.

Names of TeX commands without their backslash; all that KaTeX 0.16 knows were tried.
"""

from __future__ import annotations

from collections.abc import Mapping

_WITHOUT_ARGUMENTS = """
    Alpha Bbbk Beta Box Bumpeq Cap Chi Complex Cup Dagger Darr Delta Diamond Doteq Downarrow Epsilon Eta
    Finv Game Gamma Harr Huge Im Iota Join Kappa LARGE Lambda Large Larr Leftarrow Leftrightarrow
    Lleftarrow Longleftarrow Longleftrightarrow Longrightarrow Lrarr Lsh Mu N Nu Omega Omicron Phi Pi Pr
    Psi R Rarr Re Reals Rho Rightarrow Rrightarrow Rsh Sigma Subset Supset Tau Theta Uarr Uparrow
    Updownarrow Upsilon Vdash Vert Vvdash Xi Z Zeta alef alefsym aleph alpha amalg angle approx approxeq
    arccos arcctg arcsin arctan arctg arg argmax argmin ast asymp atop backepsilon backprime backsim
    backsimeq backslash barwedge because beta beth between bf bigcap bigcirc bigcup bigodot bigoplus
    bigotimes bigsqcup bigstar bigtriangledown bigtriangleup biguplus bigvee bigwedge blacklozenge
    blacksquare blacktriangle blacktriangledown blacktriangleleft blacktriangleright bmod bot bowtie
    boxdot boxminus boxplus boxtimes brace brack bull bullet bumpeq cal cap cdot cdotp cdots centerdot
    ch checkmark chi choose circ circeq circlearrowleft circlearrowright circledR circledS circledast
    circledcirc circleddash clubs clubsuit cnums colon coloncolon coloneqq colonequals complement cong
    coprod cos cosec cosh cot cotg coth csc ctg cth cup curlyeqprec curlyeqsucc curlyvee curlywedge
    curvearrowleft curvearrowright dArr dag dagger daleth darr dashleftarrow dashrightarrow dashv
    dblcolon ddag ddagger ddots deg degree delta det diagdown diagup diamond diamonds diamondsuit
    digamma dim displaystyle div divideontimes doteq doteqdot dotplus dots dotsb dotsc dotsi dotsm dotso
    dotsx doublebarwedge doublecap doublecup downarrow downdownarrows downharpoonleft downharpoonright
    ell empty emptyset enskip enspace epsilon eqcirc eqcolon eqqcolon eqsim eqslantgtr eqslantless
    equalscolon equiv eta eth exist exists exp fallingdotseq flat footnotesize forall frown gamma gcd ge
    geq geqq geqslant gets gg ggg gggtr gimel gnapprox gneq gneqq gnsim gt gtrapprox gtrdot gtreqless
    gtreqqless gtrless gtrsim gvertneqq hArr harr hbar hearts heartsuit hom hookleftarrow hookrightarrow
    hslash huge iff iiint iint image imath impliedby implies in inf infin infty int intercal intop iota
    isin it jmath kappa ker lArr lBrace lVert lambda land lang langle large larr lbrace lbrack lceil
    ldotp ldots le leadsto leftarrow leftarrowtail leftharpoondown leftharpoonup leftleftarrows
    leftrightarrow leftrightarrows leftrightharpoons leftrightsquigarrow leftthreetimes leq leqq
    leqslant lessapprox lessdot lesseqgtr lesseqqgtr lessgtr lesssim lfloor lg lgroup lhd lim liminf
     limsup ll llbracket llcorner lll llless lmoustache ln lnapprox lneq lneqq lnot lnsim log
    longleftarrow longleftrightarrow longmapsto longrightarrow looparrowleft looparrowright lor lozenge
    lparen lq lrArr lrarr lrcorner lt ltimes lvert lvertneqq maltese mapsto mathellipsis mathsterling
    max measuredangle medspace mho mid min minuscolon models mp mu multimap nLeftarrow nLeftrightarrow
    nRightarrow nVDash nVdash nabla natnums natural ncong ne nearrow neg negmedspace negthickspace
    negthinspace neq nexists ngeq ngeqq ngeqslant ngtr ni nleftarrow nleftrightarrow nleq nleqq
    nleqslant nless nmid normalsize notin notni nparallel nprec npreceq nrightarrow nshortmid
    nshortparallel nsim nsubseteq nsubseteqq nsucc nsucceq nsupseteq nsupseteqq ntriangleleft
    ntrianglelefteq ntriangleright ntrianglerighteq nu nvDash nvdash nwarrow odot oiiint oiint oint
    omega omicron ominus oplus ordinarycolon oslash otimes over owns parallel partial perp phi pi
    pitchfork plim plusmn pm pounds prec precapprox preccurlyeq preceq precnapprox precneqq precnsim
    precsim prime prod propto psi qquad quad rArr rBrace rVert rang rangle rarr ratio rbrace rbrack
    rceil real reals restriction rfloor rgroup rhd rho rightarrow rightarrowtail rightharpoondown
    rightharpoonup rightleftarrows rightleftharpoons rightrightarrows rightsquigarrow rightthreetimes
    risingdotseq rm rmoustache rparen rq rrbracket rtimes rvert scriptscriptstyle scriptsize scriptstyle
    sdot searrow sec setminus sf sh sharp shortmid shortparallel sigma sim simeq sin sinh sixptsize
    small smallfrown smallint smallsetminus smallsmile smile space spades spadesuit sphericalangle sqcap
    sqcup sqsubset sqsubseteq sqsupset sqsupseteq square star sub sube subset subseteq subseteqq
    subsetneq subsetneqq succ succapprox succcurlyeq succeq succnapprox succneqq succnsim succsim sum
    sup supe supset supseteq supseteqq supsetneq supsetneqq surd swarrow tan tanh tau textstyle tg th
    therefore theta thetasym thickapprox thicksim thickspace thinspace times tiny to top triangle
    triangledown triangleleft trianglelefteq triangleq triangleright trianglerighteq tt twoheadleftarrow
    twoheadrightarrow uArr uarr ulcorner unlhd unrhd uparrow updownarrow upharpoonleft upharpoonright
    uplus upsilon upuparrows urcorner vDash varDelta varGamma varLambda varOmega varPhi varPi varPsi
    varSigma varTheta varUpsilon varXi varepsilon varkappa varnothing varphi varpi varpropto varrho
    varsigma varsubsetneq varsubsetneqq varsupsetneq varsupsetneqq vartheta vartriangle vartriangleleft
    vartriangleright varvdots vcentcolon vdash vdots vee veebar vert wedge weierp wp wr xi yen zeta
"""
_WITH_ONE = """
    Bbb Bra Ket Overrightarrow acute bar bcancel bm bold boldsymbol boxed bra braket breve cancel check
    ddot dot fbox frak grave hat hphantom ket mathbb mathbf mathbin mathcal mathclose mathfrak mathinner
    mathit mathop mathopen mathord mathpunct mathrel mathring mathrm mathscr mathsf mathtt mod 
    operatorname operatorname* overbrace overleftarrow overleftharpoon overleftrightarrow overline
    overrightarrow overrightharpoon phantom pmod pod sout sqrt tilde underbrace undergroup
    underleftarrow underleftrightarrow underline underrightarrow utilde vec vphantom widecheck widehat
    widetilde xLeftarrow xLeftrightarrow xRightarrow xcancel xhookleftarrow xhookrightarrow xleftarrow
    xleftequilibrium xleftharpoondown xleftharpoonup xleftrightarrow xleftrightharpoons xlongequal
    xmapsto xrightarrow xrightequilibrium xrightharpoondown xrightharpoonup xrightleftarrows
    xrightleftharpoons xtofrom xtwoheadleftarrow xtwoheadrightarrow
"""
_WITH_TWO = """
    binom cfrac dbinom dfrac frac overset stackrel tbinom tfrac underset
"""

N_ARGUMENTS: Mapping[str, int] = (
    dict.fromkeys(_WITHOUT_ARGUMENTS.split(), 0)
    | dict.fromkeys(_WITH_ONE.split(), 1)
    | dict.fromkeys(_WITH_TWO.split(), 2)
    | dict.fromkeys("{}|,;:!>_&%#$ ", 0)
)
"""How many arguments a command takes; escaped characters are commands too."""

TAKE_OPTION = frozenset(name for name in N_ARGUMENTS if name == "sqrt" or name.startswith("x"))
"""Commands that may have one more argument in brackets."""

TAKE_TEXT = frozenset(
    ["text", "textbf", "textit", "textmd", "textnormal", "textrm", "textsf", "texttt", "textup"]
)
"""Commands whose argument is no formula."""

OPERATORS = frozenset(
    [
        "sum",
        "prod",
        "coprod",
        "int",
        "iint",
        "iiint",
        "oint",
        "bigcap",
        "bigcup",
        "bigoplus",
        "bigotimes",
        "bigsqcup",
        "biguplus",
        "bigvee",
        "bigwedge",
        "lim",
        "limsup",
        "liminf",
        "max",
        "min",
        "sup",
        "inf",
        "det",
        "gcd",
        "Pr",
        "argmax",
        "argmin",
    ]
)
"""Commands that `\\limits` and `\\nolimits` may follow."""

RELATIONS = frozenset(
    [
        "=",
        "<",
        ">",
        "in",
        "ni",
        "subset",
        "supset",
        "subseteq",
        "supseteq",
        "equiv",
        "approx",
        "sim",
        "simeq",
        "cong",
        "exists",
        "mid",
        "parallel",
        "le",
        "ge",
    ]
)
"""What `\\not` strikes through."""

COLORS = frozenset(["blue", "gray", "green", "orange", "pink", "purple", "red"])
TAKE_COLOR: Mapping[str, int] = {"color": 0, "textcolor": 1, "colorbox": 1}
"""Commands whose first argument is a colour, and how many formulas follow it."""

SIZES = frozenset(f"{size}{side}" for size in ("big", "Big", "bigg", "Bigg") for side in ("", "l", "m", "r"))
"""Commands that take a delimiter and make it large."""

DELIMITERS = frozenset(["(", ")", "[", "]", "|", ".", "/", "<", ">"]) | {
    f"\\{name}"
    for name in (
        *("{", "}", "|", "lbrace", "rbrace", "lbrack", "rbrack", "langle", "rangle", "vert", "Vert", "lvert"),
        *(
            "rvert",
            "lVert",
            "rVert",
            "lfloor",
            "rfloor",
            "lceil",
            "rceil",
            "backslash",
            "uparrow",
            "downarrow",
        ),
        *("updownarrow", "Uparrow", "Downarrow", "Updownarrow", "lgroup", "rgroup", "lmoustache"),
        "rmoustache",
    )
}
"""What may follow `\\left`, `\\right` and the sizes."""

ENVIRONMENTS: Mapping[str, bool] = dict.fromkeys(
    [
        "matrix",
        "pmatrix",
        "bmatrix",
        "Bmatrix",
        "vmatrix",
        "Vmatrix",
        "smallmatrix",
        "cases",
        "dcases",
        "rcases",
        "drcases",
        "aligned",
    ],
    False,
) | dict.fromkeys(["array", "darray", "alignedat"], True)
"""Environments, and whether they take an argument, such as the columns of an array."""
