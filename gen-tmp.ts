import { readCommandLine } from '/work/main/lib/core/policy/shell/command-line.ts'
import { commandFits } from '/work/main/lib/core/policy/shell/command-fit.ts'
import { parseCommandSpec } from '/work/main/lib/core/policy/shell/command-spec.ts'
const s:any=parseCommandSpec({ runs: ['rm', 'git push'], with: 'force', args: '*a*', writes: 'b*' })
const run=(name:string,text:string)=>{ const t=performance.now(); const l=readCommandLine(text); const a=performance.now()-t; commandFits(l,s,'strict'); const b=performance.now()-t; if (b>150) console.log(name, text.length, a.toFixed(0), b.toFixed(0), l.commands.length, l.unreadable[0]) }
for (const p of ['$(', '`', '"$(', '(', '{ ', '${x:-', '$((', '<(', '{a,', 'a;', 'a|', '$', "bash -c '", 'sudo ', 'xargs ', 'eval "', '((', '[[ ', 'coproc ', '>a ', '<<a ', 'X=$X;', 'if a; then ', "$'", 'case x in a) ', '* ', '{a,b}{a,b}', '{a,b} ', '! ', 'time ', 'find -exec ', 'find -exec a \\; ','rm $x ','rm -- ', 'rm -a','-a ','git ', 'git -C ','bash -c "$x";', 'echo "a$x',"eval eval ", 'A=$A$A;','((a||b));','a&&[[ b||c ]];','$x', 'rm '+'$x*', 'cat <<E\nx\nE\n', '<<<a ', 'echo a|sh;', 'f(){ ', '((((', '/', '../', 'a=b ', 'env ', 'env a=b ', "''", '\\', '~', '#', '!(', 'sed ', 'sed s/a/b/;','awk ', 'nice -', 'timeout 5 ', 'parallel ', 'ssh h ', 'su ', 'watch ']) { const t=performance.now(); for (const n of [4000,65536]) run(JSON.stringify(p), p.repeat(Math.ceil(n/p.length)).slice(0,n)) }
run('nest+fill', '$('.repeat(250)+'a '.repeat(32000)+')'.repeat(250))
let v='A0=aaaaaaaa;'; for (let i=1;i<2000;i++) v+=`A${i}=$A${i-1}$A${i-1};`; run('double', v)
run('words','rm '+'$x '.repeat(20000)); run('words2','rm '+'a$x '.repeat(16000)); run('long', 'rm '+'a'.repeat(4000)+'$x'+'b'.repeat(60000)); run('many', 'git push $x;'.repeat(4000))
